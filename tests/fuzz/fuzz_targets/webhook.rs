#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wanctl_fuzz::webhook::run(data));
