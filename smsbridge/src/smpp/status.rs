//! What became of a request.

use super::codes::codes;

codes! {
    /// `command_status`: 0 in requests, the result in responses.
    ///
    /// The standards' names without their `ESME_`. From 0x100 to 0x112: 5.0 only; 0x400 to 0x4FF: vendors.
    /// # Spec
    /// SMPP v3.4 §5.1.3, v5.0 §4.7.6
    CommandStatus(u32, "8") {
        ROK = 0x0000 "no error",
        RINVMSGLEN = 0x0001 "message length is invalid",
        RINVCMDLEN = 0x0002 "command length is invalid",
        RINVCMDID = 0x0003 "command id is invalid",
        RINVBNDSTS = 0x0004 "wrong bind state for this command",
        RALYBND = 0x0005 "already bound",
        RINVPRTFLG = 0x0006 "invalid priority flag",
        RINVREGDLVFLG = 0x0007 "invalid registered delivery flag",
        RSYSERR = 0x0008 "system error",
        RINVSRCADR = 0x000A "invalid source address",
        RINVDSTADR = 0x000B "invalid destination address",
        RINVMSGID = 0x000C "invalid message id",
        RBINDFAIL = 0x000D "bind failed",
        RINVPASWD = 0x000E "invalid password",
        RINVSYSID = 0x000F "invalid system id",
        RCANCELFAIL = 0x0011 "cancel failed",
        RREPLACEFAIL = 0x0013 "replace failed",
        RMSGQFUL = 0x0014 "message queue full",
        RINVSERTYP = 0x0015 "invalid service type",
        RINVNUMDESTS = 0x0033 "invalid number of destinations",
        RINVDLNAME = 0x0034 "invalid distribution list name",
        RINVDESTFLAG = 0x0040 "invalid destination flag",
        RINVSUBREP = 0x0042 "invalid submit with replace request",
        RINVESMCLASS = 0x0043 "invalid esm_class",
        RCNTSUBDL = 0x0044 "cannot submit to a distribution list",
        RSUBMITFAIL = 0x0045 "submit failed",
        RINVSRCTON = 0x0048 "invalid source TON",
        RINVSRCNPI = 0x0049 "invalid source NPI",
        RINVDSTTON = 0x0050 "invalid destination TON",
        RINVDSTNPI = 0x0051 "invalid destination NPI",
        RINVSYSTYP = 0x0053 "invalid system type",
        RINVREPFLAG = 0x0054 "invalid replace_if_present flag",
        RINVNUMMSGS = 0x0055 "invalid number of messages",
        RTHROTTLED = 0x0058 "too many messages, slow down",
        RINVSCHED = 0x0061 "invalid scheduled delivery time",
        RINVEXPIRY = 0x0062 "invalid validity period",
        RINVDFTMSGID = 0x0063 "predefined message not found",
        RX_T_APPN = 0x0064 "receiver cannot take it now, try again",
        RX_P_APPN = 0x0065 "receiver will never take it",
        RX_R_APPN = 0x0066 "receiver rejects it",
        RQUERYFAIL = 0x0067 "query failed",
        RINVOPTPARSTREAM = 0x00C0 "error in the TLVs",
        ROPTPARNOTALLWD = 0x00C1 "TLV not allowed here",
        RINVPARLEN = 0x00C2 "invalid TLV length",
        RMISSINGOPTPARAM = 0x00C3 "a TLV is missing",
        RINVOPTPARAMVAL = 0x00C4 "invalid TLV value",
        RDELIVERYFAILURE = 0x00FE "delivery failed",
        RUNKNOWNERR = 0x00FF "unknown error",
        RSERTYPUNAUTH = 0x0100 "not authorised for this service type",
        RPROHIBITED = 0x0101 "not authorised for this operation",
        RSERTYPUNAVAIL = 0x0102 "service type unavailable",
        RSERTYPDENIED = 0x0103 "service type denied",
        RINVDCS = 0x0104 "invalid data coding",
        RINVSRCADDRSUBUNIT = 0x0105 "invalid source address subunit",
        RINVDSTADDRSUBUNIT = 0x0106 "invalid destination address subunit",
        RINVBCASTFREQINT = 0x0107 "invalid broadcast frequency interval",
        RINVBCASTALIAS_NAME = 0x0108 "invalid broadcast alias name",
        RINVBCASTAREAFMT = 0x0109 "invalid broadcast area format",
        RINVNUMBCAST_AREAS = 0x010A "invalid number of broadcast areas",
        RINVBCASTCNTTYPE = 0x010B "invalid broadcast content type",
        RINVBCASTMSGCLASS = 0x010C "invalid broadcast message class",
        RBCASTFAIL = 0x010D "broadcast failed",
        RBCASTQUERYFAIL = 0x010E "broadcast query failed",
        RBCASTCANCELFAIL = 0x010F "broadcast cancel failed",
        RINVBCAST_REP = 0x0110 "invalid number of repeats",
        RINVBCASTSRVGRP = 0x0111 "invalid broadcast service group",
        RINVBCASTCHANIND = 0x0112 "invalid broadcast channel indicator",
    }
}

impl CommandStatus {
    /// True for success.
    pub fn is_ok(self) -> bool {
        self == CommandStatus::ROK
    }

    /// Worth another try later: queue full, throttled, system error, receiver not now.
    ///
    /// RSUBMITFAIL and RDELIVERYFAILURE are not: centres use them for everything, so that is the host's setting.
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            CommandStatus::RMSGQFUL
                | CommandStatus::RTHROTTLED
                | CommandStatus::RSYSERR
                | CommandStatus::RX_T_APPN
        )
    }

    /// The peer wants us to slow down; a full queue counts as that.
    pub fn is_throttling(self) -> bool {
        matches!(self, CommandStatus::RTHROTTLED | CommandStatus::RMSGQFUL)
    }
}
