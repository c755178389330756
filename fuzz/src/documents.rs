//! Bundles, notes and the documents of trust.

use std::time::{Duration, SystemTime};

use bundle::{Bundle, Content, Envelope, LogEntry, Statement};
use keys::PublicKey;
use tlog::{Checkpoint, EntryBundle, Note, NoteKey};
use trust_root::{ClientTrustConfig, SigningConfig, TrustedRoot};

use super::read;

/// A bundle, an envelope, a statement or a log's answer: what is read is written and read back as
/// the same.
pub fn bundle(data: &[u8]) {
    if let Some(bundle) = read(Bundle::from_json(data)) {
        let written = bundle.to_json();
        let again = Bundle::from_json(written.as_bytes()).expect("what was written is read");
        assert_eq!(again.content(), bundle.content());
        assert_eq!(again.log_entries(), bundle.log_entries());
        assert_eq!(again.timestamps(), bundle.timestamps());
        assert_eq!(again.to_json(), written);
        if let Content::Envelope(envelope) = bundle.content() {
            statement(&envelope.payload.to_bytes());
        }
    }
    if let Some(envelope) = read(Envelope::from_json(data)) {
        let again = Envelope::from_json(envelope.to_json().as_bytes());
        assert_eq!(again.expect("what was written is read"), envelope);
    }
    read(LogEntry::from_json(data));
    statement(data);
}

fn statement(data: &[u8]) {
    if let Some(statement) = read(Statement::parse(data)) {
        let again = Statement::parse(&statement.to_json()).expect("what was written is read");
        assert_eq!(again.subjects(), statement.subjects());
        assert_eq!(again.predicate_type(), statement.predicate_type());
        assert_eq!(again.predicate(), statement.predicate());
    }
}

/// A signed note, a checkpoint, a verifier key or a bundle of entries: a checkpoint's text is the
/// one spelling of what it says, and only the log signs as the log.
pub fn checkpoint(data: &[u8]) {
    if let Some(entries) = read(EntryBundle::parse(data)) {
        let length: usize = entries.entries.iter().map(|entry| entry.len() + 2).sum();
        assert_eq!(length, data.len(), "every byte is an entry's");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    read(NoteKey::from_vkey(text));
    let Some(note) = read(Note::parse(text)) else { return };
    assert!(text.starts_with(note.text()) && note.text().ends_with('\n'));
    assert!(!note.signatures().is_empty());
    if let Some((checkpoint, _)) = read(Checkpoint::parse(text)) {
        assert_eq!(checkpoint.to_text(), note.text());
    }
    let key = PublicKey::from_pem(LOG_KEY).expect("the log's key");
    let key = NoteKey::new("localhost", key).expect("the log's note key");
    if read(key.verify(&note)).is_some() {
        let signed = note.text().replace('\n', "\\n");
        let known = LOG_SIGNED.iter().any(|recorded| recorded.contains(&signed));
        assert!(known || LOG_CHECKPOINT.starts_with(note.text()), "the log signed nothing else");
    }
}

/// A trusted root: what is read is written and read back as the same.
pub fn trusted_root(data: &[u8]) {
    let Some(root) = read(TrustedRoot::from_json(data)) else { return };
    let written = root.to_json();
    let again = TrustedRoot::from_json(written.as_bytes()).expect("what was written is read");
    assert_eq!(again.to_json(), written);
    for log in root.tlogs().iter().chain(root.ctlogs()) {
        assert_eq!(log.log_id().len(), 32);
        let _ = (log.host_name(), log.scheme(), log.valid_for().to_string());
    }
    for authority in root.certificate_authorities().iter().chain(root.timestamp_authorities()) {
        assert!(!authority.chain.is_empty());
    }
}

/// A signing configuration, alone or beside its trusted root: read back the same, and whatever
/// service is chosen was valid at the time.
pub fn signing_config(data: &[u8]) {
    if let Some(config) = read(SigningConfig::from_json(data)) {
        let written = config.to_json();
        let again = SigningConfig::from_json(written.as_bytes()).expect("what was written is read");
        assert_eq!(again.to_json(), written);
        for seconds in [0, 1_795_345_879, 4_102_444_800] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let one = [config.fulcio(now), config.oidc(now)].into_iter().filter_map(read);
            let several = [config.rekor(now), config.tsa(now)].into_iter().filter_map(read);
            let several = several.flatten();
            for service in one.chain(several) {
                assert!(service.valid_for.contains(now), "{service:?}");
            }
        }
    }
    if let Some(both) = read(ClientTrustConfig::from_json(data)) {
        let written = both.to_json();
        let again =
            ClientTrustConfig::from_json(written.as_bytes()).expect("what was written is read");
        assert_eq!(again.to_json(), written);
    }
}

const LOG_CHECKPOINT: &str = include_str!("../../tests/fixtures/captures/rekor-v2/log/checkpoint");
/// The bundles of that log: they hold other checkpoints that it signed.
const LOG_SIGNED: [&str; 5] = [
    include_str!("../../tests/fixtures/captures/bundles/attest-blob-spiffe.sigstore.json"),
    include_str!("../../tests/fixtures/captures/bundles/blob-email.sigstore.json"),
    include_str!("../../tests/fixtures/captures/bundles/blob-github.sigstore.json"),
    include_str!("../../tests/fixtures/captures/bundles/blob-spiffe.sigstore.json"),
    include_str!("../../tests/fixtures/captures/bundles/image/referrer-0.sigstore.json"),
];
const LOG_KEY: &str = include_str!("../../tests/fixtures/captures/rekor-v2/public-key.pem");
