//! demo
use super::Exit;
pub(super) fn main(_plain: bool) -> Exit {
    Exit::Failed
}
