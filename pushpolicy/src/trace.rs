//! Why, and why not: stable reason codes, as data, as text (English, Chinese) and as JSON.

use crate::compile::CompiledPolicy;
use crate::decision::{Decision, DecisionView};
use crate::evidence::Order;
use crate::policy::RuleId;
use crate::snapshot::Snapshot;
use crate::terminal::TerminalId;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The format that this crate writes.
pub const VERSION: u32 = 1;

/// Where in the order of evaluation something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Evidence is weighed.
    Use,
    /// The rule.
    Rule,
    /// May it be pushed to?
    Eligible,
    /// Can it show the mail?
    Capable,
    /// The selectors.
    Select,
    /// Several were left.
    TieBreak,
    /// Who else is told.
    Hint,
    /// Nobody was left.
    Fallback,
    /// Who is next.
    Escalate,
}

macro_rules! reasons {
    ($($code:literal $variant:ident $name:literal $en:literal $zh:literal;)*) => {
        /// Why. Codes and names are stable: new ones are added, none changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $en] #[serde(rename = $name)] $variant = $code,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The name, as in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// In words.
            #[must_use]
            pub const fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Reason::$variant, Language::English) => $en,
                      (Reason::$variant, Language::Chinese) => $zh,)*
                }
            }
        }
    };
}

reasons! {
    100 NotRegistered "not_registered" "not registered, or revoked" "未注册或已吊销";
    101 NotAllowed "not_allowed" "pushing to it is forbidden" "禁止推送";
    102 Muted "muted" "muted by its user" "用户已静音";
    103 Unreachable "unreachable" "no route works now" "当前没有可用的通道";
    200 CannotShow "cannot_show" "cannot show a picture of the mail" "无法显示邮件中的图片";
    201 TooLarge "too_large" "the mail is larger than it takes" "邮件超过终端上限";
    202 RequirementUnmet "requirement_unmet" "lacks what the rule requires" "不满足规则要求";
    203 CapabilityUnknown "capability_unknown" "nobody said what it can show" "显示能力未知";
    204 Capable "capable" "can show the mail" "能够显示该邮件";
    205 AttributesAlone "attributes_alone" "its attributes do not count: no other report to compare with" "仅有属性且无其他终端报告，属性不计";
    300 InUse "in_use" "in use" "正在使用";
    301 NotInUse "not_in_use" "not in use" "未在使用";
    302 UseUnknown "use_unknown" "not known whether in use" "是否在使用未知";
    303 SensorStuck "sensor_stuck" "its sensor has claimed presence too long without input" "传感器长时间报告有人但无输入，不予采信";
    304 SensorDoubted "sensor_doubted" "its sensor claims presence, but another terminal far away had input" "远处另一终端有输入，传感器存疑";
    305 IsOn "is_on" "on" "已开机";
    306 IsOff "is_off" "off or asleep" "已关机或休眠";
    400 Selected "selected" "selected" "被选中";
    401 NotSelected "not_selected" "no selector in force picks it" "未被选择条件选中";
    402 SelectorEmpty "selector_empty" "the selector picks nobody" "该选择条件未选中任何终端";
    403 FewerThanAsked "fewer_than_asked" "fewer terminals than asked for" "终端数少于要求";
    404 Distance "distance" "distance to the user is known" "与用户的距离已知";
    405 DistanceUnknown "distance_unknown" "distance to the user is not known" "与用户的距离未知";
    500 LostCapability "lost_capability" "another one shows the mail better" "另一终端显示效果更好";
    501 LostRecency "lost_recency" "another one had input more recently" "另一终端最近有输入";
    502 LostCost "lost_cost" "another one is cheaper to reach" "另一终端成本更低";
    503 LostId "lost_id" "all equal; the id decides" "条件相同，按标识排序";
    600 Hinted "hinted" "is told where the mail went" "收到邮件去向提示";
    601 HintNarrowed "hint_narrowed" "the policy wants no hint here" "策略限定不提示";
    700 NoTerminals "no_terminals" "the user has no terminal" "用户没有终端";
    701 NoneEligible "none_eligible" "no terminal may be pushed to now" "当前没有可推送的终端";
    702 NoneCapable "none_capable" "no terminal can show the mail" "没有终端能显示该邮件";
    703 NoneSelected "none_selected" "no selector picks anybody" "没有终端符合选择条件";
    704 RuleHolds "rule_holds" "a rule holds the mail back" "规则暂缓推送";
    705 RuleMutes "rule_mutes" "a rule wants silence" "规则要求静默";
    712 FallbackNotice "fallback_notice" "nobody can show it: headers alone" "无终端能显示，仅推送邮件头";
    900 Chosen "chosen" "gets the mail" "接收该邮件";
    901 RuleMatched "rule_matched" "a rule applies" "规则匹配";
    902 DefaultUsed "default_used" "no rule applies: the default" "无规则匹配，使用默认策略";
}

impl Reason {
    /// The stable number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// Language of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese.
    Chinese,
}

/// How much of what was observed a trace shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Everything: for the user.
    #[default]
    Full,
    /// Reasons without scores, distances, moments and evidence: presence and place reveal habits.
    Reasons,
}

/// One thing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEntry {
    /// Where.
    pub stage: Stage,
    /// About whom; `None`: about the decision.
    pub terminal: Option<u8>,
    /// What.
    pub reason: Reason,
    /// Value found: score, octets, centimetres or metres, number of the selector.
    pub observed: u64,
    /// Value needed, or the winner's.
    pub needed: u64,
    /// The report it rests on.
    pub evidence: Option<Order>,
    /// Milliseconds since the server received it.
    pub age_ms: Option<u64>,
}

impl TraceEntry {
    pub(crate) const fn new(
        stage: Stage,
        terminal: Option<u8>,
        reason: Reason,
        observed: u64,
        needed: u64,
    ) -> Self {
        TraceEntry { stage, terminal, reason, observed, needed, evidence: None, age_ms: None }
    }
}

/// Everything that was found on the way to a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    entries: Vec<TraceEntry>,
    verdicts: Vec<(Stage, Reason)>,
    decision: Decision,
}

impl Trace {
    /// In the order of evaluation.
    #[must_use]
    pub fn entries(&self) -> &[TraceEntry] {
        &self.entries
    }

    /// The one reason why the terminal at `place` got the mail ([`Reason::Chosen`]) or, where it was first turned
    /// away, why not.
    #[must_use]
    pub fn verdict(&self, place: u8) -> Option<(Stage, Reason)> {
        self.verdicts.get(usize::from(place)).copied()
    }

    /// The decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Why `terminal` did not get the mail, in words; `None` if it is unknown or got it.
    #[must_use]
    pub fn why_not(&self, snapshot: &Snapshot, terminal: &TerminalId, language: Language) -> Option<String> {
        let place = u8::try_from(snapshot.position(terminal)?).ok()?;
        let (stage, reason) = self.verdict(place).filter(|(_, r)| *r != Reason::Chosen)?;
        Some(format!("{} {} ({stage:?}): {}", reason.code(), reason.as_str(), reason.text(language)))
    }

    /// With names, for JSON.
    #[must_use]
    pub fn view(&self, policy: &CompiledPolicy, snapshot: &Snapshot, detail: Detail) -> TraceView {
        let name = |i: u8| snapshot.terminals().get(usize::from(i)).map(|t| t.id.clone());
        let full = detail == Detail::Full;
        TraceView {
            version: VERSION,
            rule: self.decision.rule.and_then(|r| policy.rule_id(r).cloned()),
            verdicts: (0u8..)
                .zip(&self.verdicts)
                .filter_map(|(i, (stage, reason))| {
                    Some(VerdictView {
                        terminal: name(i)?,
                        stage: *stage,
                        reason: *reason,
                        code: reason.code(),
                    })
                })
                .collect(),
            entries: self
                .entries
                .iter()
                .map(|e| EntryView {
                    stage: e.stage,
                    terminal: e.terminal.and_then(name),
                    reason: e.reason,
                    code: e.reason.code(),
                    observed: if full { e.observed } else { 0 },
                    needed: if full { e.needed } else { 0 },
                    evidence: e.evidence.filter(|_| full),
                    age_ms: e.age_ms.filter(|_| full),
                })
                .collect(),
            decision: self.decision.view(policy, snapshot),
        }
    }

    /// For people: the verdicts, then every step.
    #[must_use]
    pub fn text(
        &self,
        policy: &CompiledPolicy,
        snapshot: &Snapshot,
        language: Language,
        detail: Detail,
    ) -> String {
        self.view(policy, snapshot, detail).text(language)
    }
}

/// A trace with names. See `schema/trace-1.schema.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TraceView {
    /// [`VERSION`].
    pub version: u32,
    /// The rule that applied; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// One for each terminal, by id.
    pub verdicts: Vec<VerdictView>,
    /// What was found, in order.
    pub entries: Vec<EntryView>,
    /// What was decided.
    pub decision: DecisionView,
}

/// Why one terminal got the mail or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VerdictView {
    /// Which.
    pub terminal: TerminalId,
    /// Where it was decided.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// The same as a number.
    pub code: u16,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EntryView {
    /// Where.
    pub stage: Stage,
    /// About whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalId>,
    /// What.
    pub reason: Reason,
    /// The same as a number.
    pub code: u16,
    /// Value found.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed: u64,
    /// Value needed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub needed: u64,
    /// The report it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Order>,
    /// Milliseconds since the server received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl TraceView {
    /// For people.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        for v in &self.verdicts {
            let _ = writeln!(
                out,
                "{}: {} [{} {}]",
                v.terminal,
                v.reason.text(language),
                v.code,
                v.reason.as_str()
            );
        }
        for e in &self.entries {
            let _ = write!(out, "  {:?} ", e.stage);
            if let Some(t) = &e.terminal {
                let _ = write!(out, "{t}: ");
            }
            let _ = write!(out, "{}", e.reason.text(language));
            if e.observed != 0 || e.needed != 0 {
                let _ = write!(out, " ({} / {})", e.observed, e.needed);
            }
            if let (Some(o), Some(age)) = (e.evidence, e.age_ms) {
                let _ = write!(out, " #{}.{} {} ms", o.boot, o.seq, age);
            }
            out.push('\n');
        }
        out
    }
}

/// Where a run leaves what it finds.
pub(crate) trait Sink {
    /// Whether anything is kept; the rest is compiled away.
    const ON: bool;
    fn note(&mut self, entry: TraceEntry);
    /// The first one stays.
    fn verdict(&mut self, terminal: u8, stage: Stage, reason: Reason);
    fn chosen(&mut self, terminal: u8);
}

pub(crate) struct NoTrace;

impl Sink for NoTrace {
    const ON: bool = false;
    fn note(&mut self, _: TraceEntry) {}
    fn verdict(&mut self, _: u8, _: Stage, _: Reason) {}
    fn chosen(&mut self, _: u8) {}
}

pub(crate) struct Recorder {
    entries: Vec<TraceEntry>,
    verdicts: Vec<Option<(Stage, Reason)>>,
}

impl Recorder {
    pub(crate) fn new(terminals: usize) -> Recorder {
        Recorder { entries: Vec::with_capacity(8 + 8 * terminals), verdicts: vec![None; terminals] }
    }

    pub(crate) fn finish(self, decision: Decision) -> Trace {
        let verdicts =
            self.verdicts.into_iter().map(|v| v.unwrap_or((Stage::Select, Reason::NotSelected))).collect();
        Trace { entries: self.entries, verdicts, decision }
    }
}

impl Sink for Recorder {
    const ON: bool = true;
    fn note(&mut self, entry: TraceEntry) {
        self.entries.push(entry);
    }
    fn verdict(&mut self, terminal: u8, stage: Stage, reason: Reason) {
        if let Some(slot) = self.verdicts.get_mut(usize::from(terminal)) {
            slot.get_or_insert((stage, reason));
        }
    }
    fn chosen(&mut self, terminal: u8) {
        if let Some(slot) = self.verdicts.get_mut(usize::from(terminal)) {
            *slot = Some((Stage::Select, Reason::Chosen));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_rising() {
        assert!(Reason::ALL.windows(2).all(|w| w[0].code() < w[1].code()));
        for r in Reason::ALL {
            assert_eq!(serde_json::to_string(r).unwrap(), format!("{:?}", r.as_str()));
            assert!(!r.text(Language::Chinese).is_ascii() && r.text(Language::English).is_ascii());
        }
    }

    #[test]
    fn the_schema_lists_every_reason() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../schema/trace-1.schema.json")).unwrap();
        let listed: Vec<&str> = schema["$defs"]["reason"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        assert_eq!(listed, Reason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>());
    }
}
