//! Any bytes as a request to the endpoint: what was whole stays what it was whatever follows, what was refused is
//! never granted by more bytes, and without the token nobody sees more than whether all is well.

use wanctl::observe::http::{Access, Request};
use wanctl::observe::pages::Page;

/// A token that no input has by chance.
const TOKEN: &str = "f00d-cafe-0123-4567-89ab";

pub fn run(data: &[u8]) {
    let guarded = Access::Token(TOKEN.to_owned());
    for access in [&Access::Open, &guarded] {
        let whole = Request::parse(data, access);
        let places = 16_usize.min(data.len());
        let mut earlier = Ok(None);
        for i in 0..=places {
            let piece = data.len().checked_mul(i).map_or(0, |at| at / places.max(1));
            let now = Request::parse(&data[..piece], access);
            match earlier {
                Ok(None) => {}
                Ok(Some(_)) => assert_eq!(now, earlier, "a request that was whole has become another"),
                Err(_) => assert!(now.is_err(), "refused at first, then granted: {now:?}"),
            }
            earlier = now;
        }
        assert_eq!(earlier, whole);
        if let (Access::Token(token), Ok(Some(request))) = (access, whole) {
            let open = matches!(request.page, Page::Index | Page::Health | Page::Ready);
            let shown = data.windows(token.len()).any(|piece| piece == token.as_bytes());
            assert!(open || shown, "{request:?} without the token");
        }
    }
}
