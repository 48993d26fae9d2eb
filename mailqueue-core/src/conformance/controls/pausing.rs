//! Pausing and resuming.

use std::sync::Arc;
use std::time::Duration;

use super::super::store::wait_until;
use crate::contracts::controls::{Controls, PauseRequest, Pauses};
use crate::domain::lane::Lane;
use crate::domain::pause_scope::PauseScope;

const BULK: PauseScope = PauseScope::Lane(Lane::Bulk);

async fn pauses(controls: &Arc<dyn Controls>) -> Pauses {
    controls.pauses().await.expect("pauses can be read")
}

async fn pause(controls: &Arc<dyn Controls>, scope: PauseScope) {
    controls.pause(&PauseRequest::new(scope, "ana")).await.expect("a pause is kept");
}

/// Knows no pause before the first, and ends none.
pub async fn knows_none_at_first(controls: Arc<dyn Controls>) {
    assert_eq!(pauses(&controls).await.in_force, []);
    assert!(!controls.resume(&PauseScope::Everything).await.expect("a resume is answered"));
}

/// Keeps everything that was said of a pause, and ends it once.
pub async fn keeps_a_pause_until_it_is_resumed(controls: Arc<dyn Controls>) {
    let before = pauses(&controls).await.now;
    let request = PauseRequest::new(PauseScope::Everything, "ana").reason("a relay moves");
    let kept = controls.pause(&request).await.expect("a pause is kept");
    assert_eq!((&kept.scope, kept.until), (&PauseScope::Everything, None));
    assert_eq!((kept.reason.as_str(), kept.by.as_str()), ("a relay moves", "ana"));
    let listed = pauses(&controls).await;
    assert_eq!(listed.in_force, std::slice::from_ref(&kept));
    assert!(before <= kept.at && kept.at <= listed.now, "the time is the store's");
    assert!(listed.has_everything() && listed.has_lane(Lane::Urgent));
    assert!(controls.resume(&PauseScope::Everything).await.expect("a resume is answered"));
    assert_eq!(pauses(&controls).await.in_force, []);
    assert!(!controls.resume(&PauseScope::Everything).await.expect("a resume is answered"));
}

/// Keeps the later one of two pauses of one scope.
pub async fn replaces_a_pause_of_the_same_scope(controls: Arc<dyn Controls>) {
    let hour = Duration::from_secs(3600);
    let first = PauseRequest::new(BULK, "ana").reason("first").lasting(hour);
    let first = controls.pause(&first).await.expect("a pause is kept");
    assert_eq!(first.until.map(|until| until - first.at), Some(time::Duration::HOUR));
    let second = controls.pause(&PauseRequest::new(BULK, "rui")).await.expect("a pause is kept");
    assert_eq!(pauses(&controls).await.in_force, std::slice::from_ref(&second));
    assert_eq!((second.until, second.reason.as_str(), second.by.as_str()), (None, "", "rui"));
}

/// Ends one pause and leaves the others, a relay's by its name in any case.
pub async fn keeps_scopes_apart(controls: Arc<dyn Controls>) {
    let relay = PauseScope::relay("Mail.Example.com:25");
    for scope in [relay.clone(), BULK, PauseScope::Lane(Lane::Urgent), PauseScope::Everything] {
        pause(&controls, scope).await;
    }
    let listed = pauses(&controls).await;
    let scopes: Vec<_> = listed.in_force.iter().map(|pause| pause.scope.clone()).collect();
    assert_eq!(scopes, [PauseScope::Everything, PauseScope::Lane(Lane::Urgent), BULK, relay.clone()]);
    assert_eq!(listed.relays().collect::<Vec<_>>(), ["mail.example.com:25"]);
    for scope in [PauseScope::Everything, PauseScope::relay("mail.example.COM:25")] {
        assert!(controls.resume(&scope).await.expect("a resume is answered"), "{scope}");
    }
    let listed = pauses(&controls).await;
    assert!(listed.has_lane(Lane::Bulk) && listed.has_lane(Lane::Urgent) && !listed.has_lane(Lane::Normal));
    assert_eq!(listed.relays().count(), 0);
}

/// Leaves a pause out once its time is over.
pub async fn ends_a_pause_in_time(controls: Arc<dyn Controls>) {
    pause(&controls, BULK).await;
    let short = PauseRequest::new(PauseScope::Everything, "ana").lasting(Duration::from_millis(50));
    controls.pause(&short).await.expect("a pause is kept");
    let left = wait_until("the pause ends", || async {
        let listed = pauses(&controls).await;
        (!listed.has_everything()).then_some(listed)
    })
    .await;
    assert!(left.has_lane(Lane::Bulk), "the other one stays");
    assert!(!controls.resume(&PauseScope::Everything).await.expect("a resume is answered"));
    controls
        .prune_history(&crate::contracts::controls::HistoryRetention::default())
        .await
        .expect("it is pruned");
    assert!(pauses(&controls).await.has_lane(Lane::Bulk), "pruning ends no pause");
}

/// Keeps a pause that is longer than any time that can be written.
pub async fn bears_the_longest_pause(controls: Arc<dyn Controls>) {
    let request = PauseRequest::new(BULK, "ana").lasting(Duration::MAX);
    let kept = controls.pause(&request).await.expect("a pause is kept");
    assert!(kept.until.is_some_and(|until| until.year() >= 9999), "{:?}", kept.until);
    assert_eq!(pauses(&controls).await.in_force, [kept]);
}

/// Keeps names and reasons to the character.
pub async fn keeps_any_text(controls: Arc<dyn Controls>) {
    let words = "it's \"broken\"; DROP TABLE controls; — não? ✓";
    let request = PauseRequest::new(BULK, words).reason(words);
    controls.pause(&request).await.expect("a pause is kept");
    let listed = pauses(&controls).await;
    assert_eq!((listed.in_force[0].reason.as_str(), listed.in_force[0].by.as_str()), (words, words));
}
