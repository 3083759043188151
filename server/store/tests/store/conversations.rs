//! Conversations from their making to their deletion, and their transcripts.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use claude_comms_store::{NewConversation, StoreError, TurnQuery};

use crate::support::*;

#[tokio::test]
async fn a_conversation_keeps_what_it_was_made_with() {
    let place = place();
    let new = NewConversation {
        system_prompt: "be brief".to_owned(),
        model: Some("a model".to_owned()),
        labels: [("team".to_owned(), "red".to_owned())].into(),
        ..new_conversation()
    };
    let made = place.store.create_conversation(new.clone()).await.unwrap();
    assert_eq!((made.epoch, made.owner, made.turn_count), (0, None, 0));
    let place = place.reopened().await;
    let kept = place.store.conversation(new.id).await.unwrap().unwrap();
    assert_eq!(kept, made);
    assert_eq!((kept.title, kept.system_prompt), (new.title, new.system_prompt));
    assert_eq!((kept.model, kept.labels), (new.model, new.labels));
}

#[tokio::test]
async fn deleting_removes_all_that_hangs_on_a_conversation_and_nothing_else() {
    let place = place();
    let store = &*place.store;
    let (gone, kept) = (conversation(store).await, conversation(store).await);
    let (first, second) = (running_request(gone), request(kept));
    let accepted = accept(store, first.clone()).await;
    accept(store, second.clone()).await;
    let session = place.dir.path().join("session");
    fs::write(&session, "{}\n").unwrap();
    for id in [gone, kept] {
        store.keep_transcript(id, &session).unwrap();
    }

    let too_early = store.delete_conversation(gone).await;
    assert!(matches!(too_early, Err(StoreError::Conflict(_))), "{too_early:?}");
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    assert!(store.delete_conversation(gone).await.unwrap());

    assert!(!store.transcript(gone).exists());
    assert!(store.transcript(kept).exists());
    let place = place.reopened().await;
    let store = &*place.store;
    assert_eq!(store.conversation(gone).await.unwrap(), None);
    assert_eq!(store.turn(first.turn_id).await.unwrap(), None);
    let all = store.turns(TurnQuery { limit: 10, ..TurnQuery::default() }).await.unwrap();
    assert_eq!(all.items.iter().map(|turn| turn.id).collect::<Vec<_>>(), [second.turn_id]);
    let of_it = TurnQuery { conversation_id: Some(gone), limit: 10, ..TurnQuery::default() };
    assert_eq!(store.turns(of_it).await.unwrap().items, []);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.conversations, counts.turns, counts.schema_version), (1, 1, 1));

    // The same id, should it ever come again, begins without a past.
    store.create_conversation(NewConversation { id: gone, ..new_conversation() }).await.unwrap();
    assert_eq!(store.events(gone, 0, 10).await.unwrap(), []);
    assert_eq!(accept(store, first).await.turn.first_sequence, 1);
}

#[tokio::test]
async fn a_transcript_is_the_session_file_itself_and_the_owners_alone() {
    let place = place();
    let id = conversation(&*place.store).await;
    let session = place.dir.path().join("session");
    fs::write(&session, "one\n").unwrap();
    fs::set_permissions(&session, fs::Permissions::from_mode(0o644)).unwrap();
    place.store.keep_transcript(id, &session).unwrap();
    place.store.keep_transcript(id, &session).unwrap();
    let kept = fs::metadata(place.store.transcript(id)).unwrap();
    assert_eq!(kept.ino(), fs::metadata(&session).unwrap().ino());
    assert_eq!(kept.mode() & 0o777, 0o600);
    fs::write(&session, "one\ntwo\n").unwrap();
    assert_eq!(fs::read_to_string(place.store.transcript(id)).unwrap(), "one\ntwo\n");

    let newer = place.dir.path().join("newer");
    fs::write(&newer, "three\n").unwrap();
    place.store.keep_transcript(id, &newer).unwrap();
    assert_eq!(fs::read_to_string(place.store.transcript(id)).unwrap(), "three\n");
    assert_eq!(fs::read_to_string(&session).unwrap(), "one\ntwo\n");
    let folder = place.store.transcript(id).parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[tokio::test]
async fn a_transcript_that_cannot_be_kept_leaves_the_older_one() {
    let place = place();
    let id = conversation(&*place.store).await;
    let session = place.dir.path().join("session");
    fs::write(&session, "one\n").unwrap();
    place.store.keep_transcript(id, &session).unwrap();
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    for no_session in [link, place.dir.path().join("absent"), place.dir.path().to_owned()] {
        assert!(place.store.keep_transcript(id, &no_session).is_err());
        assert_eq!(fs::read_to_string(place.store.transcript(id)).unwrap(), "one\n");
    }
    let folder = place.store.transcript(id).parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_file_system_gets_a_copy() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let place = place();
    let id = conversation(&*place.store).await;
    let session = elsewhere.path().join("session");
    fs::write(&session, "one\n").unwrap();
    place.store.keep_transcript(id, &session).unwrap();
    let kept = fs::metadata(place.store.transcript(id)).unwrap();
    assert_eq!(kept.mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(place.store.transcript(id)).unwrap(), "one\n");
}

#[tokio::test]
async fn opening_removes_transcripts_without_a_conversation_and_no_other_file() {
    let place = place();
    let kept = conversation(&*place.store).await;
    let path = place.store.transcript(kept);
    fs::write(&path, "kept\n").unwrap();
    let folder = path.parent().unwrap();
    fs::write(place.store.transcript(new_conversation().id), "stray\n").unwrap();
    fs::write(folder.join(".keeping-0192"), "interrupted\n").unwrap();
    fs::write(folder.join("notes.txt"), "not ours\n").unwrap();
    fs::write(folder.join("notes.jsonl"), "not ours\n").unwrap();
    let place = place.reopened().await;
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = vec![format!("{kept}.jsonl"), "notes.jsonl".to_owned(), "notes.txt".to_owned()];
    expected.sort();
    assert_eq!(names, expected);
    drop(place);
}
