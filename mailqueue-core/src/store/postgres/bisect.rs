//! Work on a batch, divided where one item of it is refused.

use futures_util::future::BoxFuture;

use crate::contracts::store::StoreError;

/// Does `work` for all `items` at once. Where that is refused for what is in them, it is done for each half, so that
/// one item that spoils a batch costs two statements for each doubling of the batch, and fails alone. Any other error
/// is everybody's who is not done yet.
pub(super) async fn bisect<I: Clone, T>(
    items: Vec<I>,
    work: impl Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<T>, StoreError>> + Sync,
) -> Vec<Result<T, StoreError>> {
    let mut results = Vec::with_capacity(items.len());
    let mut parts = vec![items];
    while let Some(mut part) = parts.pop() {
        match work(part.clone()).await {
            Ok(done) => results.extend(done.into_iter().map(Ok)),
            Err(error) if !error.is_transient() && part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                // The first half comes off the stack next, so results stay in the order of the items.
                parts.extend([rest, part]);
            }
            Err(error) if !error.is_transient() => results.push(Err(error)),
            Err(error) => {
                // Not tried item by item: a server that is away would cost a timeout for each.
                let left = part.len() + parts.iter().map(Vec::len).sum::<usize>();
                results.extend((0..left).map(|_| Err(error.clone())));
                break;
            }
        }
    }
    results
}
