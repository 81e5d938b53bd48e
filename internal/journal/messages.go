package journal

// The fields of Pyruse's log lines, besides those of systemd.journal-fields(7).
const (
	FieldChain   = "PYRUSE_CHAIN"   // the label of the chain
	FieldStep    = "PYRUSE_STEP"    // the index of the step in its chain, from 0
	FieldIP      = "PYRUSE_IP"      // the address that is banned, or is not any more
	FieldSet     = "PYRUSE_SET"     // the set: "family table set", or the name of an ipset
	FieldBackend = "PYRUSE_BACKEND" // nft or ipset
	FieldSeconds = "PYRUSE_SECONDS" // how long a ban lasts; absent: for ever
	FieldCursor  = "PYRUSE_CURSOR"  // the cursor of the entry that was the cause
	FieldEvent   = "PYRUSE_EVENT"   // the event's ID; a line that is sent again after a crash has the same
	FieldFile    = "PYRUSE_FILE"    // the file that the message is about
	FieldDepth   = "PYRUSE_DEPTH"   // how many lines of action_log led to this one, with it
	FieldVersion = "PYRUSE_VERSION" // the version of Pyruse; in every line
)

// The MESSAGE_IDs of Pyruse's log lines. They never change their meaning.
const (
	// MsgStarted: the daemon is ready and begins to handle entries.
	MsgStarted = "b7fad010fb92441090371bbf98fe56f6"
	// MsgStopping: the daemon was told to stop; it finishes and commits its batch.
	MsgStopping = "c0bedb812a4b41eca9b2f5b015913e11"
	// MsgBanApplied: an address is to be in a set from now on, or its ban begins anew.
	MsgBanApplied = "b393eb5b54b6497f9f56bd6f881476ca"
	// MsgBanRemoved: somebody took a ban back (pyruse bans remove).
	MsgBanRemoved = "06c278c6c81240deb12bcd121b2ee9b8"
	// MsgBanExpired: a ban's time is over.
	MsgBanExpired = "101563a967f64c5ab9c8074b07622b54"
	// MsgBanRefused: an address was not banned because it must never be.
	MsgBanRefused = "a393095d000d43e3ab828380b2f1f286"
	// MsgSetFailed: a set is missing or does not take the address; the ban is remembered, and tried again.
	MsgSetFailed = "ee8b30c5d65342fe860996ace45bb20b"
	// MsgBansRestored: bans that had vanished from the kernel, by a flush or a reboot, were put back.
	MsgBansRestored = "406db5d086ac483e9c0da6e89eabfb9d"
	// MsgStepError: a step failed for an entry.
	MsgStepError = "8d57fe1648a14ba7b1492e6ecadeaf81"
	// MsgStepErrorsSummed: a step that keeps failing: how often it did since the last message.
	MsgStepErrorsSummed = "06364a12b7de4e3593eea64bbba88a72"
	// MsgStateSetAside: the state database was damaged, was renamed, and a new one begun.
	MsgStateSetAside = "870907e72c80433aab4d605a3a6be2e5"
	// MsgStateTakenOver: the state files of Pyruse 2 were taken over.
	MsgStateTakenOver = "0332776c160f4ff288a57da7b3605e62"
	// MsgCommitFailed: the state could not be written (disk full?); bans go on, nothing is lost yet.
	MsgCommitFailed = "3a76c05b3f00474b95a82bc3b441dc74"
	// MsgCommitRecovered: the state could be written again.
	MsgCommitRecovered = "87bd21d7f2ef4373a0c7636fd16f844d"
	// MsgJournalGap: the entry to go on behind is gone from the journal; entries may have been missed.
	MsgJournalGap = "d2bdc371f36d4eabbd5c489844d4ee41"
	// MsgJournalUnreadable: the journal, or a part of it, cannot be read.
	MsgJournalUnreadable = "841222089f484e0eaee2eb5f57caaf53"
	// MsgMailFailed: a mail could not be handed over; it stays in the outbox.
	MsgMailFailed = "65408ba1e54947ed9c350488229fc050"
	// MsgMailGivenUp: a mail was refused for good, or could not be handed over for days; it is kept as failed.
	MsgMailGivenUp = "6dedf1e599c543968024b889f3af9b13"
	// MsgReportSent: the day's report is made, and on its way.
	MsgReportSent = "34ae5c5ca7ce4fa5a9b9fc4efda87361"
	// MsgDropped: report lines were left out because too many wait.
	MsgDropped = "7b56147739c64804a993be6e65570f94"
	// MsgControlFailed: the control socket does not work any more.
	MsgControlFailed = "5d8835f7679441ed8a81add24ec644fd"
	// MsgReloaded: another configuration is in force from now on.
	MsgReloaded = "43bf3a885bfd425196e1f8b2b36581c5"
	// MsgReloadFailed: the configuration could not be loaded again; the one before stays in force.
	MsgReloadFailed = "121e4fadbdfa457d9457dfb5971359e5"
	// MsgSettingWaits: a setting that was changed takes effect at the next start only.
	MsgSettingWaits = "1a4e58bb78c24d87ad8839f8d3fe2ff4"
	// MsgFragmentLeftOut: a fragment of the configuration has a fault, or depends on one that has; the rest is in force.
	MsgFragmentLeftOut = "8862163761f14868b8d53697e9b27075"
	// MsgLogAction: the message of an action_log.
	MsgLogAction = "489c57bd2245478b8bbfeaa9b7a14644"
)

// MessageInfo is one line of the catalog.
type MessageInfo struct {
	ID    string // a MESSAGE_ID
	Name  string // the name of its constant in this package
	Level int    // the syslog priority that it is usually logged with
	Text  string // what it tells
}

// Messages is the catalog that docs/reference/messages.md documents.
var Messages = []MessageInfo{
	{MsgStarted, "MsgStarted", 6, "The daemon is ready and begins to handle entries."},
	{MsgStopping, "MsgStopping", 6, "The daemon was told to stop; it finishes and commits its batch."},
	{MsgBanApplied, "MsgBanApplied", 5, "An address is to be in a set from now on, or its ban begins anew."},
	{MsgBanRemoved, "MsgBanRemoved", 5, "Somebody took a ban back."},
	{MsgBanExpired, "MsgBanExpired", 6, "A ban's time is over."},
	{MsgBanRefused, "MsgBanRefused", 4, "An address was not banned because it must never be."},
	{MsgSetFailed, "MsgSetFailed", 3, "A set is missing or does not take the address; the ban is remembered, and tried again."},
	{MsgBansRestored, "MsgBansRestored", 5, "Bans that had vanished from the kernel were put back."},
	{MsgStepError, "MsgStepError", 3, "A step failed for an entry."},
	{MsgStepErrorsSummed, "MsgStepErrorsSummed", 3, "A step keeps failing: how often it did since the last message."},
	{MsgStateSetAside, "MsgStateSetAside", 1, "The state database was damaged; it was renamed, and a new one begun."},
	{MsgStateTakenOver, "MsgStateTakenOver", 5, "The state files of Pyruse 2 were taken over."},
	{MsgCommitFailed, "MsgCommitFailed", 2, "The state could not be written; watching and banning go on."},
	{MsgCommitRecovered, "MsgCommitRecovered", 5, "The state could be written again."},
	{MsgJournalGap, "MsgJournalGap", 4, "The entry to go on behind is gone from the journal; entries may have been missed."},
	{MsgJournalUnreadable, "MsgJournalUnreadable", 3, "The journal, or a part of it, cannot be read."},
	{MsgMailFailed, "MsgMailFailed", 3, "A mail could not be handed over; it stays in the outbox."},
	{MsgMailGivenUp, "MsgMailGivenUp", 2, "A mail was refused for good, or could not be handed over for days; it is kept as failed."},
	{MsgReportSent, "MsgReportSent", 6, "The day's report is made, and on its way."},
	{MsgDropped, "MsgDropped", 3, "Report lines were left out because too many wait."},
	{MsgControlFailed, "MsgControlFailed", 3, "The control socket does not work any more."},
	{MsgReloaded, "MsgReloaded", 5, "The configuration was loaded again, and is in force."},
	{MsgSettingWaits, "MsgSettingWaits", 4, "A setting was changed that takes effect at the next start only."},
	{MsgReloadFailed, "MsgReloadFailed", 3, "The configuration could not be loaded again; the one before stays in force."},
	{MsgFragmentLeftOut, "MsgFragmentLeftOut", 3, "A fragment of the configuration is left out because of a fault; the rest is in force."},
	{MsgLogAction, "MsgLogAction", 6, "The message of an action_log, with the priority that its step gives."},
}
