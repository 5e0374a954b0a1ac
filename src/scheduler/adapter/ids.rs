//! How a scheduler's job ids look and how those of array elements are made. Pure.

use regex::Regex;

use crate::model::ids::SchedulerJobId;

/// The form of a scheduler's ids.
#[derive(Clone, Debug)]
pub struct IdForm {
    /// A submission's id, with the groups that `element` uses.
    pub submission: Regex,
    /// An element's id: literal text, `{group}` and `{index}`.
    pub element: String,
    /// The index of an array's first element.
    pub first_index: u32,
}

impl IdForm {
    /// The id of element `index` (from 0) of the array `submission`.
    pub fn element_id(&self, submission: &str, index: u32) -> SchedulerJobId {
        self.element_id_of_scheduler_index(submission, index.saturating_add(self.first_index))
    }

    /// The id of the element that the scheduler itself numbers `index`.
    pub fn element_id_of_scheduler_index(&self, submission: &str, index: u32) -> SchedulerJobId {
        let mut id = self.element.replace("{index}", &index.to_string());
        if let Some(captures) = self.submission.captures(submission) {
            for name in self.submission.capture_names().flatten() {
                let text = captures.name(name).map_or("", |found| found.as_str());
                id = id.replace(&format!("{{{name}}}"), text);
            }
        }
        SchedulerJobId(id)
    }

    /// The id of a listed row: `id`, or with `index` the element's where the scheduler lists the two apart.
    pub fn listed_id(&self, id: &str, index: Option<&str>) -> SchedulerJobId {
        match index.and_then(|text| text.parse::<u32>().ok()).filter(|index| *index >= self.first_index) {
            Some(index) => self.element_id_of_scheduler_index(id, index),
            None => SchedulerJobId(id.to_owned()),
        }
    }

    /// The submission that `element` is the job `index` (from 0) of: what [`IdForm::element_id`] undoes.
    pub fn submission_of(&self, element: &str, index: u32) -> Option<SchedulerJobId> {
        let ends = (1..=element.len()).filter(|end| element.is_char_boundary(*end));
        let beginnings = ends.map(|end| element[..end].to_owned());
        // Where a submission's id is its elements' without the index: `67[].server` and `67[3].server`.
        let number = index.saturating_add(self.first_index).to_string();
        let without_index = element
            .match_indices(number.as_str())
            .map(|(start, _)| format!("{}{}", &element[..start], &element[start + number.len()..]));
        without_index
            .chain(beginnings)
            .filter(|candidate| self.is_submission(candidate))
            .find(|candidate| self.element_id(candidate, index).0 == element)
            .map(SchedulerJobId)
    }

    /// Whether `id` looks like a submission's.
    pub fn is_submission(&self, id: &str) -> bool {
        self.submission.is_match(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(submission: &str, element: &str, first_index: u32) -> IdForm {
        IdForm { submission: Regex::new(submission).unwrap(), element: element.into(), first_index }
    }

    #[test]
    fn elements_are_named_as_each_scheduler_names_them() {
        let slurm = form(r"^(?<submission>\d+)$", "{submission}_{index}", 0);
        assert_eq!(slurm.element_id("4711", 3).0, "4711_3");
        let pbs = form(r"^(?<number>\d+)(\[\])?(?<server>\..+)?$", "{number}[{index}]{server}", 0);
        assert_eq!(pbs.element_id("67[].pbshost", 3).0, "67[3].pbshost");
        assert_eq!(pbs.submission_of("67[3].pbshost", 3).unwrap().0, "67[].pbshost");
        assert_eq!(pbs.submission_of("37[3].pbs3", 3).unwrap().0, "37[].pbs3");
        assert_eq!(pbs.submission_of("67[3].pbshost", 4), None);
        assert_eq!(slurm.submission_of("4711_3", 3).unwrap().0, "4711");
        let lsf = form(r"^(?<number>\d+)$", "{number}[{index}]", 1);
        assert_eq!(lsf.element_id("33", 0).0, "33[1]");
        assert_eq!(lsf.listed_id("33", Some("2")).0, "33[2]");
        assert_eq!(lsf.listed_id("34", Some("0")).0, "34");
    }
}
