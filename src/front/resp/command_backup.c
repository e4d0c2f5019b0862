/* PD.BACKUP: backups of this server, made beside the serving. */
#include <string.h>

#include "backup/job.h"
#include "backup/scheduler.h"
#include "base/memory.h"
#include "config/config.h"
#include "config/place.h"
#include "front/resp/front_private.h"

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void write_text(struct pd_resp_writer *reply, const char *name, const char *text)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk_string(reply, text);
}

static const char *state_name(const struct pd_backup_status *status)
{
	if (status->stage != PD_BACKUP_OVER)
		return status->stage == PD_BACKUP_NONE ? "none" : "running";
	/* That there is nothing to do is no failure: the text says it, and there is no id. */
	return status->result == 0 || status->result == PD_END ? "done" : "failed";
}

static void answer_status(struct pd_resp_call *call)
{
	static const struct pd_backup_status none = { .repository = "" };
	struct pd_backup_jobs *jobs = call->client->front->backup_jobs;
	struct pd_resp_writer *reply = call->reply;
	struct pd_backup_status status = none;
	char bookmark[PD_BOOKMARK_SIZE] = "";

	if (jobs != NULL) {
		pd_backup_jobs_tick(jobs); /* who waits for it asks often */
		pd_backup_job_status(jobs, &status);
	}
	if (status.made.end.lsn > 0)
		pd_bookmark_format(0, status.made.end.epoch, status.made.end.lsn, bookmark);
	pd_resp_write_map(reply, 21);
	write_text(reply, "kind", status.stage == PD_BACKUP_NONE ? "" : pd_backup_kind_name(status.kind));
	write_text(reply, "state", state_name(&status));
	write_text(reply, "stage", pd_backup_stage_name(status.stage));
	write_text(reply, "repository", status.repository);
	write_number(reply, "done_bytes", status.done);
	write_number(reply, "total_bytes", status.total);
	write_number(reply, "paused_us", status.paused_us);
	write_number(reply, "started_us", status.started_us);
	write_number(reply, "ended_us", status.ended_us);
	write_text(reply, "result", status.result == 0 ? "OK" : pd_code_resp_prefix(status.result));
	write_text(reply, "text", status.err.text);
	write_text(reply, "id", status.made.id);
	write_text(reply, "at", bookmark);
	write_number(reply, "bytes", status.made.bytes);
	write_number(reply, "stored_bytes", status.made.stored_bytes);
	write_number(reply, "sent_bytes", status.made.sent_bytes);
	write_number(reply, "actors", status.made.actors);
	write_number(reply, "keys", status.made.keys);
	write_text(reply, "hash", status.made.state);
	write_text(reply, "parent", status.made.parent);
	write_text(reply, "notice", status.made.notice);
}

/* ---- backups that make themselves ---- */

static void answer_kind(struct pd_resp_writer *reply, enum pd_backup_kind kind,
			const struct pd_backup_kind_status *status)
{
	pd_resp_write_bulk_string(reply, pd_backup_kind_name(kind));
	pd_resp_write_map(reply, 7);
	write_text(reply, "id", status->newest.id);
	write_number(reply, "lsn", status->newest.end.lsn);
	write_number(reply, "well_us", status->well_us);
	write_number(reply, "sent_bytes", status->newest.sent_bytes);
	write_number(reply, "made", status->made);
	write_number(reply, "failed", status->failed);
	write_number(reply, "skipped", status->skipped);
}

static void answer_drill(struct pd_resp_writer *reply, const struct pd_backup_drill_status *status)
{
	const struct pd_backup_drilled *newest = &status->newest;

	write_number(reply, "drill_failing", status->failing);
	write_number(reply, "drills_passed", status->passed);
	write_number(reply, "drills_failed", status->failed);
	write_number(reply, "drills_skipped", status->skipped);
	write_number(reply, "drill_ended_us", status->ended_us);
	write_number(reply, "drill_took_us", status->took_us);
	write_text(reply, "drill_id", newest->id);
	write_text(reply, "drill_source", newest->restored.source != NULL ? newest->restored.source : "");
	write_number(reply, "drill_compared", newest->restored.compared);
	write_number(reply, "rto_us", newest->rto_us);
	write_number(reply, "rpo_us", newest->rpo_us);
}

static void answer_schedule(struct pd_resp_call *call)
{
	const struct pd_backup_scheduler *scheduler = call->client->front->scheduler;
	struct pd_resp_writer *reply = call->reply;
	struct pd_backup_schedule_status status;

	if (scheduler == NULL) {
		pd_resp_write_map(reply, 1);
		write_text(reply, "state", "off");
		return;
	}
	pd_backup_scheduler_status(scheduler, &status);
	pd_resp_write_map(reply, 11 + 11 + PD_PROFILE_COUNT + PD_BACKUP_KIND_COUNT);
	write_text(reply, "state", pd_backup_schedule_state(&status));
	write_text(reply, "repository", status.address);
	write_text(reply, "work", pd_backup_schedule_work(&status));
	write_text(reply, "next", pd_agenda_work_name(status.next));
	write_number(reply, "next_us", status.next_us);
	write_text(reply, "failure", status.failure);
	write_number(reply, "backups", status.backups);
	write_number(reply, "expired", status.expired);
	write_number(reply, "expire_failed", status.expire_failed);
	write_number(reply, "proven_lsn", status.proof.position.lsn);
	write_number(reply, "proven_us", status.proof.proven_us);
	answer_drill(reply, &status.drill);
	write_number(reply, "waiting_critical_us", status.waiting_us[PD_PROFILE_CRITICAL]);
	write_number(reply, "waiting_standard_us", status.waiting_us[PD_PROFILE_STANDARD]);
	write_number(reply, "waiting_performance_us", status.waiting_us[PD_PROFILE_PERFORMANCE]);
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++)
		answer_kind(reply, (enum pd_backup_kind)i, &status.kinds[i]);
}

/* ---- backups that are ordered ---- */

/* What is ordered: FULL repository [TENANT tenant] [MATCH pattern] [NOSTATE] [KEYFILE path | PASSPHRASEFILE path]. */
struct words {
	char *address, *key_file, *passphrase_file;
	char *tenant, *match; /* of some actors */
	bool without_state, may_be_new;
};

static void words_done(struct words *words)
{
	pd_free(words->address);
	pd_free(words->key_file);
	pd_free(words->passphrase_file);
	pd_free(words->tenant);
	pd_free(words->match);
}

static int copy_word(struct pd_slice word, const char *what, char **ret_text, struct pd_error *err)
{
	pd_free(*ret_text);
	*ret_text = NULL;
	if (word.size == 0 || memchr(word.data, '\0', word.size) != NULL)
		return pd_error_set(err, PD_INVALID, "that is no %s", what);
	*ret_text = pd_asprintf("%.*s", (int)word.size, (const char *)word.data);
	return *ret_text != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
}

static int take_words(const struct pd_resp_call *call, struct words *words, struct pd_error *err)
{
	int result = copy_word(call->words[2], "address of a repository", &words->address, err);

	for (size_t i = 3; i < call->count && result == 0; i++) {
		bool has_more = i + 1 < call->count;

		if (pd_slice_equal_nocase(call->words[i], "nostate"))
			words->without_state = true;
		else if (pd_slice_equal_nocase(call->words[i], "newrepository"))
			words->may_be_new = true;
		else if (has_more && pd_slice_equal_nocase(call->words[i], "keyfile"))
			result = copy_word(call->words[++i], "path of a key file", &words->key_file, err);
		else if (has_more && pd_slice_equal_nocase(call->words[i], "passphrasefile"))
			result = copy_word(call->words[++i], "path of a passphrase file",
					   &words->passphrase_file, err);
		else if (has_more && pd_slice_equal_nocase(call->words[i], "tenant"))
			result = copy_word(call->words[++i], "name of a tenant", &words->tenant, err);
		else if (has_more && pd_slice_equal_nocase(call->words[i], "match"))
			result = copy_word(call->words[++i], "pattern", &words->match, err);
		else
			result = pd_error_set(err, PD_INVALID, "syntax error: see PD.BACKUP HELP");
	}
	return result;
}

/* What the server's settings say of S3 counts, and of the key where none is named. */
static struct pd_repository_place place_of(const struct pd_config *config, const struct words *words)
{
	struct pd_repository_place place = { .store = pd_config_place(config, words->address),
					     .key_file = words->key_file,
					     .passphrase_file = words->passphrase_file };

	if (config != NULL && words->key_file == NULL && words->passphrase_file == NULL) {
		place.key_file = pd_config_text(config, PD_SETTING_BACKUP_KEY_FILE);
		place.passphrase_file = pd_config_text(config, PD_SETTING_BACKUP_PASSPHRASE_FILE);
	}
	return place;
}

static int start_job(struct pd_backup_jobs *jobs, enum pd_backup_kind kind,
		     const struct pd_repository_place *place, const struct words *words, struct pd_error *err)
{
	if (words->tenant == NULL && words->match == NULL)
		return pd_backup_job_start(jobs, kind, place, words->without_state, err);
	if (kind != PD_BACKUP_FULL)
		return pd_error_set(err, PD_INVALID,
				    "a backup of some actors goes on from none: say FULL with TENANT and "
				    "MATCH; what they have that is the same is not sent again");
	if (words->without_state)
		return pd_error_set(err, PD_INVALID,
				    "NOSTATE is for a backup of everything: the hash of each actor is made "
				    "with its lines");
	return pd_backup_job_start_actors(jobs, place, words->tenant, words->match, err);
}

static void start(struct pd_resp_call *call, enum pd_backup_kind kind)
{
	struct pd_resp_front *front = call->client->front;
	struct pd_repository_place place;
	struct pd_error err = { 0 };
	struct words words = { 0 };
	int result = take_words(call, &words, &err);

	if (result == 0 && pd_resp_front_backup_jobs(front) == NULL)
		result = pd_error_set(&err, PD_NO_MEMORY, "out of memory for a backup");
	if (result == 0) {
		place = place_of(front->options.config, &words);
		place.may_be_new = words.may_be_new;
		result = start_job(front->backup_jobs, kind, &place, &words, &err);
	}
	words_done(&words);
	if (result == 0)
		answer_status(call);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
}

static void answer_full(struct pd_resp_call *call)
{
	start(call, PD_BACKUP_FULL);
}

static void answer_incremental(struct pd_resp_call *call)
{
	start(call, PD_BACKUP_INCREMENTAL);
}

static void answer_differential(struct pd_resp_call *call)
{
	start(call, PD_BACKUP_DIFFERENTIAL);
}

static void answer_log(struct pd_resp_call *call)
{
	start(call, PD_BACKUP_LOG);
}

static void answer_cancel(struct pd_resp_call *call)
{
	if (call->client->front->backup_jobs != NULL)
		pd_backup_job_cancel(call->client->front->backup_jobs);
	pd_resp_write_status(call->reply, "OK");
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"CANCEL",
		"    End the backup that is being made. What was sent of it counts for the next.",
		"DIFFERENTIAL <repository> [NOSTATE] [KEYFILE <path>|PASSPHRASEFILE <path>]",
		"    As FULL, reading only what is new since the last backup; with the log since the last "
		"full "
		"one.",
		"FULL <repository> [TENANT <tenant>] [MATCH <pattern>] [NOSTATE] [NEWREPOSITORY] "
		"[KEYFILE <path>|PASSPHRASEFILE <path>]",
		"    Start a backup of everything into this directory of the server's machine, a path from / "
		"on, or "
		"into s3://BUCKET/PREFIX with the server's settings for S3. TENANT, MATCH: only of this "
		"tenant's actors (default: \"default\"), those whose names match (default: all). NOSTATE: "
		"without the hash of the "
		"state. NEWREPOSITORY: a new one may begin where there was one. KEYFILE, PASSPHRASEFILE: "
		"what the repository is encrypted under is in this file of "
		"the "
		"server's machine.",
		"INCREMENTAL <repository> [NOSTATE] [KEYFILE <path>|PASSPHRASEFILE <path>]",
		"    The same, reading only what is new since the last backup; with the log since.",
		"LOG <repository> [KEYFILE <path>|PASSPHRASEFILE <path>]",
		"    Start a backup of the log since the last backup.",
		"SCHEDULE",
		"    Return what the server makes by itself: what is next, what fails, the newest of each "
		"kind, and what drills have proven.",
		"STATUS",
		"    Return the state of the backup that is being made, or of the last one.",
	};

	pd_resp_write_help(call->reply, "PD.BACKUP", lines, sizeof lines / sizeof *lines);
}

/* Where it writes, and what of everybody's, is an administrator's to say. */
#define ADMIN (PD_COMMAND_CONNECTION | PD_COMMAND_ADMIN | PD_COMMAND_NO_MULTI)
#define ROW(name, arity, flags, summary, complexity, answer)                                            \
	{                                                                                               \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, complexity, NULL }, answer, \
			false                                                                           \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.backup|cancel", 2, ADMIN, "Ends the backup that is being made.", "O(1)", answer_cancel),
	ROW("pd.backup|differential", -3, ADMIN, "Starts a backup of what is new since the last full one.",
	    "O(1); the work goes on beside the serving.", answer_differential),
	ROW("pd.backup|full", -3, ADMIN, "Starts a backup of everything, or of some actors.",
	    "O(1); the work goes on beside the serving.", answer_full),
	ROW("pd.backup|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", "O(1)", answer_help),
	ROW("pd.backup|incremental", -3, ADMIN, "Starts a backup of what is new since the last one.",
	    "O(1); the work goes on beside the serving.", answer_incremental),
	ROW("pd.backup|log", -3, ADMIN, "Starts a backup of the log since the last one.",
	    "O(1); the work goes on beside the serving.", answer_log),
	ROW("pd.backup|schedule", 2, ADMIN | PD_COMMAND_LOADING,
	    "Tells what is made by schedules, what fails, and up to where recovery is proven.", "O(1)",
	    answer_schedule),
	ROW("pd.backup|status", 2, ADMIN | PD_COMMAND_LOADING,
	    "Tells how far a backup is, and how the last one ended.", "O(1)", answer_status),
};

const struct pd_resp_commands pd_resp_commands_backup = { commands, sizeof commands / sizeof *commands };
