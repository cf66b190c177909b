//! What boards that stand before another one hand on to it unchanged.

/// The endpoint's and the alerts' part of [`crate::Board`], as `self.inner` does it.
macro_rules! inner_clients_and_hooks {
    () => {
        fn listen(&mut self, at: Option<SocketAddr>) -> Result<Option<SocketAddr>, ListenError> {
            self.inner.listen(at)
        }

        fn client_accept(&mut self) -> Option<usize> {
            self.inner.client_accept()
        }

        fn client_read(&mut self, client: usize, buffer: &mut [u8]) -> LinkIo {
            self.inner.client_read(client, buffer)
        }

        fn client_write(&mut self, client: usize, bytes: &[u8]) -> LinkIo {
            self.inner.client_write(client, bytes)
        }

        fn client_close(&mut self, client: usize) {
            self.inner.client_close(client);
        }

        fn hook_target(&mut self, slot: usize, target: Option<&LinkTarget>) -> Result<(), BadTrust> {
            self.inner.hook_target(slot, target)
        }

        fn hook_open(&mut self, slot: usize, port: u16) {
            self.inner.hook_open(slot, port);
        }

        fn hook_poll(&mut self) -> Option<LinkEvent> {
            self.inner.hook_poll()
        }

        fn hook_read(&mut self, buffer: &mut [u8]) -> LinkIo {
            self.inner.hook_read(buffer)
        }

        fn hook_write(&mut self, bytes: &[u8]) -> LinkIo {
            self.inner.hook_write(bytes)
        }

        fn hook_close(&mut self) {
            self.inner.hook_close();
        }

        fn stopwatch(&mut self) -> Instant {
            self.inner.stopwatch()
        }
    };
}
pub(crate) use inner_clients_and_hooks;
