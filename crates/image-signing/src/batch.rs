//! What became of many images, in the order in which they were named.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use bundle::LargeText;
use serde::Serialize;

use crate::image::{Image, Target};

/// The results of many images. They come in any order, and are given in the order of the images, so
/// that the output of a program is the same each time. An image may have several parts.
#[derive(Debug)]
pub(crate) struct Batch {
    done: &'static str,
    is_json: bool,
    began: SystemTime,
    images: Vec<Vec<Part>>,
    /// How many images and parts of images there are, and how many have a result: they are asked for
    /// after each result.
    total: usize,
    ended: usize,
    /// The results of so many images were given.
    given: usize,
}

/// Where in a [`Run`](crate::Run) something is: the position of its image, and of the part in the image.
pub type Place = (usize, usize);

/// What is at a place.
pub type Located = (Place, Target);

/// What became of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It is signed, or verified.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It could not be done.
    Failed,
}

#[derive(Debug)]
struct Part {
    name: String,
    /// What became of it, and what is printed of that.
    result: Option<(End, Vec<LargeText>)>,
}

/// What is printed of an image that failed, where results are JSON.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FailedImage {
    /// The image as it was named.
    pub image: String,
    /// What failed.
    pub error: String,
    /// Why.
    pub causes: Vec<String>,
    /// The exit code of the program if this were the only image.
    pub exit: u8,
}

/// What is printed of an image that needs no other signature, where results are JSON.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SkippedImage {
    /// The image as it was named.
    pub image: String,
    /// The digest of its manifest.
    pub digest: String,
    /// Always `true`.
    pub skipped: bool,
}

impl Batch {
    /// Nothing of `images` is `done` (`signed`, `verified`), and it is `now`. The lines of what fails
    /// or is skipped are JSON, or text.
    pub(crate) fn new(
        done: &'static str,
        images: &[Image],
        is_json: bool,
        now: SystemTime,
    ) -> Self {
        let part = |image: &Image| vec![Part { name: image.as_str().to_owned(), result: None }];
        let images: Vec<_> = images.iter().map(part).collect();
        Self { done, is_json, began: now, total: images.len(), ended: 0, images, given: 0 }
    }

    /// The image at `position` has these parts, the image itself among them.
    pub(crate) fn set_parts(&mut self, position: usize, targets: &[Target]) {
        if let Some(image) = self.images.get_mut(position) {
            let part = |target: &Target| Part { name: target.name().to_owned(), result: None };
            self.total = (self.total + targets.len()).saturating_sub(image.len());
            *image = targets.iter().map(part).collect();
        }
    }

    /// Notes the result of what is at `place`: its `lines` are printed. Returns the lines that can be
    /// printed now.
    pub(crate) fn end(
        &mut self,
        place: Place,
        outcome: End,
        lines: Vec<LargeText>,
    ) -> Vec<LargeText> {
        if let Some(part) = self.images.get_mut(place.0).and_then(|it| it.get_mut(place.1)) {
            let before = part.result.replace((outcome, lines));
            self.ended += usize::from(before.is_none());
        }
        let mut printed = Vec::new();
        while let Some(image) = self.images.get_mut(self.given)
            && image.iter().all(|part| part.result.is_some())
        {
            let results = image.iter_mut().filter_map(|part| part.result.as_mut());
            results.for_each(|(_, lines)| printed.append(lines));
            self.given += 1;
        }
        printed
    }

    /// Notes that `target` needs nothing: it is signed, or is named above. Returns the lines that can
    /// be printed now.
    pub(crate) fn skip(&mut self, place: Place, target: &Target) -> Vec<LargeText> {
        let line = match (self.is_json, target.is_signed()) {
            (true, _) => json_line(&SkippedImage::from(target)),
            (false, true) => format!("skipped {}: it is {} already", target.resolved(), self.done),
            (false, false) => format!("skipped {}: the same image is above", target.resolved()),
        };
        self.end(place, End::Skipped, vec![line.into()])
    }

    /// Notes a failure. Returns the lines that can be printed now.
    pub(crate) fn fail(&mut self, place: Place, failed: &FailedImage) -> Vec<LargeText> {
        self.end(place, End::Failed, line_of(failed, self.is_json))
    }

    /// What has no result yet failed for a reason of all, which is that of `failed`. Returns the lines
    /// that were not given yet.
    pub(crate) fn fail_the_rest(&mut self, failed: &FailedImage) -> Vec<LargeText> {
        for part in self.images.iter_mut().flatten().filter(|part| part.result.is_none()) {
            let failed = FailedImage { image: part.name.clone(), ..failed.clone() };
            part.result = Some((End::Failed, line_of(&failed, self.is_json)));
            self.ended += 1;
        }
        self.rest()
    }

    /// The lines that were not given yet, because an image before them has no result.
    pub(crate) fn rest(&mut self) -> Vec<LargeText> {
        let results = self.images.iter_mut().flatten().filter_map(|part| part.result.as_mut());
        results.flat_map(|(_, lines)| std::mem::take(lines)).collect()
    }

    /// How many images and parts of images there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many have a result, and how many there are: `37/200`.
    pub(crate) fn progress(&self) -> String {
        format!("{}/{}", self.ended, self.total)
    }

    /// Whether everything has a result.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended == self.total
    }

    /// How many have this outcome.
    pub(crate) fn count(&self, outcome: End) -> usize {
        self.results().filter(|it| *it == outcome).count()
    }

    /// The targets that need a signature, each once, however often it is named and in however many
    /// indexes it is; and the others.
    pub(crate) fn to_sign(located: Vec<Located>) -> (Vec<Located>, Vec<Located>) {
        let mut known = HashSet::new();
        located.into_iter().partition(|(_, target)| {
            known.insert(target.resolved().reference()) && !target.is_signed()
        })
    }

    /// `signed 37, skipped 2, failed 1, not done 3, in 12.3 s`.
    pub(crate) fn summary(&self, now: SystemTime) -> String {
        let took = now.duration_since(self.began).unwrap_or_default();
        let [succeeded, skipped, failed] =
            [End::Done, End::Skipped, End::Failed].map(|it| self.count(it));
        let mut text = format!("{} {succeeded}, skipped {skipped}, failed {failed}", self.done);
        match self.total().saturating_sub(succeeded + skipped + failed) {
            0 => {}
            rest => text.push_str(&format!(", not done {rest}")),
        }
        format!("{text}, in {}", shown(took))
    }

    fn results(&self) -> impl Iterator<Item = End> {
        self.images.iter().flatten().filter_map(|part| part.result.as_ref().map(|(it, _)| *it))
    }
}

impl FailedImage {
    /// `image` failed with `error`, because of `causes`.
    pub fn new(image: &str, error: &str, causes: &[String], exit: u8) -> Self {
        let (image, error) = (image.to_owned(), error.to_owned());
        Self { image, error, causes: causes.to_vec(), exit }
    }
}

impl From<&Target> for SkippedImage {
    fn from(target: &Target) -> Self {
        let digest = target.resolved().digest().to_string();
        Self { image: target.name().to_owned(), digest, skipped: true }
    }
}

fn line_of(failed: &FailedImage, is_json: bool) -> Vec<LargeText> {
    Vec::from_iter(is_json.then(|| json_line(failed).into()))
}

fn json_line(report: &impl Serialize) -> String {
    host::escape_json(&serde_json::to_value(report).unwrap_or_default().to_string())
}

/// `0.4 s`, `2 m 5 s`.
fn shown(took: Duration) -> String {
    match took.as_secs() {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        seconds => format!("{} m {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(is_json: bool) -> Batch {
        let images = ["r.example/a", "r.example/b", "r.example/c"];
        let images: Vec<_> = images.iter().map(|name| Image::parse(name).unwrap()).collect();
        Batch::new("signed", &images, is_json, SystemTime::UNIX_EPOCH)
    }

    fn line(text: &str) -> Vec<LargeText> {
        vec![text.into()]
    }

    fn texts(lines: &[LargeText]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn results_are_given_in_the_order_of_the_images_whatever_order_they_come_in() {
        let mut batch = batch(true);
        assert!(batch.end((2, 0), End::Done, line("c")).is_empty());
        let failed = FailedImage::new("r.example/a", "it failed", &[], 11);
        let json = r#"{"causes":[],"error":"it failed","exit":11,"image":"r.example/a"}"#;
        assert_eq!(texts(&batch.fail((0, 0), &failed)), [json]);
        assert_eq!(batch.progress(), "2/3");
        assert_eq!(texts(&batch.end((1, 0), End::Skipped, line("b"))), ["b", "c"]);
        assert!(batch.rest().is_empty());
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1250);
        assert_eq!(batch.summary(now), "signed 1, skipped 1, failed 1, in 1.2 s");
    }

    #[test]
    fn what_was_held_back_is_not_lost_when_the_rest_is_not_done() {
        let mut batch = batch(true);
        batch.end((2, 0), End::Done, line("c"));
        assert_eq!(texts(&batch.rest()), ["c"]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(125);
        let summary = batch.summary(now);
        assert_eq!(summary, "signed 1, skipped 0, failed 0, not done 2, in 2 m 5 s");
        let lines =
            texts(&batch.fail_the_rest(&FailedImage::new("", "no identity was found", &[], 1)));
        assert!(lines[0].contains("r.example/a") && lines[1].contains("r.example/b"), "{lines:?}");
        assert_eq!((batch.count(End::Failed), batch.progress()), (2, "3/3".to_owned()));
    }

    #[test]
    fn failures_are_lines_of_json_and_not_of_text() {
        let failed = FailedImage::new("r.example/a", "it failed", &[], 11);
        assert!(batch(false).fail((0, 0), &failed).is_empty());
    }
}
