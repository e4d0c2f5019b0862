/* `perdure backup full`, `incremental`, `differential`, `log`: by the server that has the directory, or of a directory that nobody serves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/directory.h"
#include "base/memory.h"
#include "cli/admin.h"
#include "cli/backup_private.h"
#include "engine/engine.h"
#include "server/server.h"

#define LOOK_FIRST_US 10000u
#define LOOK_LAST_US  250000u

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	PD_BACKUP_OPTIONS_OF_PLACE,
	PD_BACKUP_OPTION_JSON,
	{ "new-repository", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(new_repository), 0, 0,
	  "A new repository may begin where the server knows of one that is not\nthere any more: without "
	  "this it is taken for a disk that is not mounted." },
	{ "no-state", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(no_state), 0, 0,
	  "Leave out the hash of the state and the list of actors, for which\nall data is read. A restored "
	  "directory is not compared then." },
	{ "tenant", "TENANT", PD_OPTION_TEXT, PD_BACKUP_AT(select.tenant), 0, 0,
	  "Only the actors of this tenant (default, with --match: \"default\")." },
	{ "match", "PATTERN", PD_OPTION_TEXT, PD_BACKUP_AT(select.match), 0, 0,
	  "Only those whose names match, as in KEYS: 'user:*'." },
};
#define TABLE_COUNT  (sizeof table / sizeof *table)
#define OF_ACTORS    2 /* the last, for a full one */
#define OF_THE_STATE 1 /* the one before them, for those with a state */

#define SERVER_DOES_IT                                                                                     \
	"The server that has the directory does it beside the serving, with its own settings for S3; "     \
	"without a "                                                                                       \
	"server\nthe directory is read, and not changed. Interrupted, the server goes on; see 'PD.BACKUP " \
	"STATUS' and 'PD.BACKUP "                                                                          \
	"CANCEL'."

static const struct pd_options full_options = {
	.command = "perdure backup full",
	.synopsis = "perdure backup full --repository ADDRESS [options]",
	.about =
		"Backs up everything, as it is at this moment: a checkpoint, which is made for it. What the "
		"repository\nhas already is not sent again: neither what did not change since an earlier "
		"backup, nor "
		"what one had\nsent that did not come to its end.\n\n" SERVER_DOES_IT "\n\n"
		"A repository belongs to one cluster, and one at a time writes to it. One that is not there "
		"is made;\nwith --key-file or --passphrase-file everything in it is encrypted, for good. "
		"What is "
		"sent is compressed\nwhere that helps.\n\n"
		"With --tenant or --match only some actors are backed up, all as they were at one moment, "
		"with what they\nwere related to. What is the same as in an earlier such backup is not sent "
		"again. It is restored actor by\nactor, with 'perdure backup restore ID --all "
		"--into-server DIR', and is no backup that others go on from:\nit takes no full one's place.",
	.table = table,
	.count = TABLE_COUNT,
	.environment_count = 1 + PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup full --data /var/lib/perdure --repository /backup/perdure\n"
		 "  perdure backup full --tenant acme --match 'user:*' --repository /backup/perdure\n"
		 "  perdure backup full --repository /backup/perdure -o json | tail -1 | jq -r .id\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static const struct pd_options incremental_options = {
	.command = "perdure backup incremental",
	.synopsis = "perdure backup incremental --repository ADDRESS [options]",
	.about = "Backs up what is new since the last backup: files of the state that it has not, and the "
		 "log since, "
		 "so that\nevery moment between can be restored, too. It can be restored like a full one, "
		 "and needs no "
		 "other for\nits own moment.\n\n" SERVER_DOES_IT,
	.table = table,
	.count = TABLE_COUNT - OF_ACTORS,
	.environment_count = 1 + PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup incremental --data /var/lib/perdure --repository /backup/perdure\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static const struct pd_options differential_options = {
	.command = "perdure backup differential",
	.synopsis = "perdure backup differential --repository ADDRESS [options]",
	.about =
		"Backs up what is new since the last full backup: files of the state that the repository has "
		"not, and "
		"the\nlog since, so that with that one every moment since can be restored, whatever became "
		"of the "
		"backups\nbetween. Log that the directory lacks by now is taken over from those. It can be "
		"restored like a "
		"full\none, and needs no other for its own moment.\n\n" SERVER_DOES_IT,
	.table = table,
	.count = TABLE_COUNT - OF_ACTORS,
	.environment_count = 1 + PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup differential --data /var/lib/perdure --repository /backup/perdure\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

/* Without what is about the state. */
static const struct pd_options log_options = {
	.command = "perdure backup log",
	.synopsis = "perdure backup log --repository ADDRESS [options]",
	.about =
		"Backs up the log since the last backup, and nothing else: cheap enough for every minute. "
		"Restoring takes "
		"the\nlast backup with a state before it, and replays the log from there.\n\n" SERVER_DOES_IT,
	.table = table,
	.count = TABLE_COUNT - OF_ACTORS - OF_THE_STATE,
	.environment_count = 1 + PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup log --data /var/lib/perdure --repository /backup/perdure\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void report(struct pd_backup_work *work, const struct pd_backup_made *made)
{
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, made->end.epoch, made->end.lsn, bookmark);
	if (!work->given.json) {
		pd_output_text(output, "%s: LSN %" PRIu64, made->id, made->end.lsn);
		if (made->state[0] != '\0' || made->actors > 0)
			pd_output_text(output, ", %" PRIu64 " keys of %" PRIu64 " actor%s", made->keys,
				       made->actors, made->actors == 1 ? "" : "s");
		pd_output_text(output, ", %s, of which %s were sent\n",
			       pd_size_text((double)made->bytes).bytes,
			       pd_size_text((double)made->sent_bytes).bytes);
		if (made->notice[0] != '\0')
			(void)fprintf(stderr, "%s: note: %s\n", work->options->command, made->notice);
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_string_field(output, "id", made->id);
	pd_output_string_field(output, "at", bookmark);
	pd_output_number_field(output, "lsn", made->end.lsn);
	if (made->parent[0] != '\0')
		pd_output_string_field(output, "parent", made->parent);
	if (made->state[0] != '\0' || made->actors > 0) {
		pd_output_number_field(output, "actors", made->actors);
		pd_output_number_field(output, "keys", made->keys);
	}
	if (made->state[0] != '\0')
		pd_output_string_field(output, "hash", made->state);
	pd_output_number_field(output, "bytes", made->bytes);
	pd_output_number_field(output, "stored_bytes", made->stored_bytes);
	pd_output_number_field(output, "sent_bytes", made->sent_bytes);
	if (made->notice[0] != '\0')
		pd_output_string_field(output, "notice", made->notice);
	pd_backup_line_end(work);
}

/* There was nothing to do. */
static void report_nothing(struct pd_backup_work *work, const char *text)
{
	if (!work->given.json) {
		pd_output_text(&work->output, "%s\n", text);
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_string_field(&work->output, "text", text);
	pd_backup_line_end(work);
}

/* What it came to. Returns the exit status. */
static int conclude(struct pd_backup_work *work, int result, const struct pd_backup_made *made,
		    const struct pd_error *err)
{
	if (result == PD_END)
		report_nothing(work, err->text);
	else if (result == 0)
		report(work, made);
	else
		return pd_backup_work_failed(work, result, err);
	return PD_EXIT_OK;
}

static bool selects(const struct pd_backup_work *work)
{
	return work->given.select.tenant != NULL || work->given.select.match != NULL;
}

/* ---- of a directory ---- */

static int of_directory(struct pd_backup_work *work, enum pd_backup_kind kind)
{
	struct pd_backup_order order = { .repository = work->place,
					 .kind = selects(work) ? PD_BACKUP_ACTORS : kind,
					 .tenant = work->given.select.tenant,
					 .match = work->given.select.match,
					 .without_state = work->given.no_state,
					 .watch = { .go_on = pd_backup_progress_watch, .context = work } };
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	int result;

	pd_backup_progress_begin(work, "sending");
	result = pd_backup_make_of_directory(work->os, work->given.data, &order, &made, &err);
	pd_backup_progress_end(work);
	return conclude(work, result, &made, &err);
}

/* ---- by a server ---- */

static void copy_text(char *to, size_t size, struct pd_slice map, const char *name)
{
	struct pd_slice text = pd_admin_text(map, name);

	(void)snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1),
		       (const char *)text.data);
}

static bool says(struct pd_slice map, const char *name, const char *text)
{
	return pd_slice_equal(pd_admin_text(map, name), pd_slice_string(text));
}

static int read_made(struct pd_slice map, struct pd_backup_made *ret_made, struct pd_error *err)
{
	uint32_t shard;

	*ret_made = (struct pd_backup_made){ .bytes = pd_admin_number(map, "bytes"),
					     .stored_bytes = pd_admin_number(map, "stored_bytes"),
					     .sent_bytes = pd_admin_number(map, "sent_bytes"),
					     .actors = pd_admin_number(map, "actors"),
					     .keys = pd_admin_number(map, "keys") };
	copy_text(ret_made->id, sizeof ret_made->id, map, "id");
	copy_text(ret_made->state, sizeof ret_made->state, map, "hash");
	copy_text(ret_made->parent, sizeof ret_made->parent, map, "parent");
	copy_text(ret_made->notice, sizeof ret_made->notice, map, "notice");
	if (pd_bookmark_parse(pd_admin_text(map, "at"), &shard, &ret_made->end.epoch, &ret_made->end.lsn) !=
	    0)
		return pd_error_set(err, PD_INVALID, "the server's answer cannot be understood");
	return 0;
}

/* Until it is over, or another one has begun. */
static int wait(struct pd_backup_work *work, struct pd_admin *admin, struct pd_slice reply,
		struct pd_backup_made *ret_made, struct pd_error *err)
{
	static const char *const words[] = { "PD.BACKUP", "STATUS", NULL };
	uint64_t started_us = pd_admin_number(reply, "started_us"), patience_us = LOOK_FIRST_US;
	int result = 0;

	while (result == 0 && says(reply, "state", "running") &&
	       pd_admin_number(reply, "started_us") == started_us) {
		pd_backup_progress_tell(work, pd_admin_number(reply, "done_bytes"),
					pd_admin_number(reply, "total_bytes"));
		pd_os_sleep_us(work->os, patience_us);
		patience_us = 2 * patience_us < LOOK_LAST_US ? 2 * patience_us : LOOK_LAST_US;
		result = pd_admin_ask(admin, words, &reply, err);
	}
	if (result != 0)
		return result;
	if (pd_admin_number(reply, "started_us") != started_us)
		return pd_error_set(err, PD_BUSY,
				    "it has ended, and another backup has begun before its result was read: "
				    "'perdure backup ls' has it");
	if (!says(reply, "state", "done") || says(reply, "id", "")) {
		struct pd_slice text = pd_admin_text(reply, "text");
		int code = says(reply, "state", "done")       ? PD_END
			   : says(reply, "result", "CORRUPT") ? PD_CORRUPT
							      : PD_IO;

		return pd_error_set(err, code, "%.*s", (int)(text.size < 400 ? text.size : 400),
				    (const char *)text.data);
	}
	return read_made(reply, ret_made, err);
}

/* The server may be in another directory. It reads the key itself. */
static int order(struct pd_backup_work *work, struct pd_admin *admin, enum pd_backup_kind kind,
		 struct pd_slice *ret_reply, struct pd_error *err)
{
	static const char *const kinds[] = { "FULL", "INCREMENTAL", "DIFFERENTIAL", "LOG" };
	const struct pd_repository_place *place = &work->place;
	bool remote = pd_repository_place_is_remote(place);
	char *repository = NULL, *key_file = NULL, *passphrase_file = NULL;
	const char *words[14] = { "PD.BACKUP", kinds[kind] };
	size_t count = 2;
	int result = remote ? 0 : pd_backup_absolute_path(place->store.address, &repository, err);

	if (result == 0)
		result = pd_backup_absolute_path(place->key_file, &key_file, err);
	if (result == 0)
		result = pd_backup_absolute_path(place->passphrase_file, &passphrase_file, err);
	if (result == 0) {
		words[count++] = remote ? place->store.address : repository;
		if (work->given.no_state)
			words[count++] = "NOSTATE";
		if (work->given.new_repository)
			words[count++] = "NEWREPOSITORY";
		if (key_file != NULL) {
			words[count++] = "KEYFILE";
			words[count++] = key_file;
		}
		if (passphrase_file != NULL) {
			words[count++] = "PASSPHRASEFILE";
			words[count++] = passphrase_file;
		}
		if (work->given.select.tenant != NULL) {
			words[count++] = "TENANT";
			words[count++] = work->given.select.tenant;
		}
		if (work->given.select.match != NULL) {
			words[count++] = "MATCH";
			words[count] = work->given.select.match;
		}
		result = pd_admin_ask(admin, words, ret_reply, err);
	}
	pd_free(repository);
	pd_free(key_file);
	pd_free(passphrase_file);
	return result;
}

static int by_server(struct pd_backup_work *work, struct pd_admin *admin, enum pd_backup_kind kind)
{
	struct pd_backup_made made = { 0 };
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result = order(work, admin, kind, &reply, &err);

	if (result == 0) {
		pd_backup_progress_begin(work, "sending");
		result = wait(work, admin, reply, &made, &err);
		pd_backup_progress_end(work);
	}
	/* What the server could not begin has failed, whatever code it gave. */
	return conclude(work, result == 0 || result == PD_END || result == PD_CORRUPT ? result : PD_IO, &made,
			&err);
}

static int run(const struct pd_options *options, enum pd_backup_kind kind, int argc, char **argv)
{
	struct pd_backup_work work;
	struct pd_error err = { 0 };
	struct pd_admin admin;
	const char *operand;
	int status, result;

	if (!pd_backup_work_begin(&work, options, argc, argv, &operand, &status))
		return status;
	if (operand != NULL)
		return pd_backup_work_end(&work,
					  pd_options_wrong(options, "unexpected word \"%s\"", operand));
	if (selects(&work) && work.given.no_state)
		return pd_backup_work_end(&work,
					  pd_options_wrong(options, "--no-state is for everything: the "
								    "hash of each actor is made with "
								    "its lines"));
	if (work.given.data == NULL)
		work.given.data = "./data";
	result = pd_admin_open(&admin, work.os, work.given.data, &err);
	/* Nobody is there; or somebody may be whose socket has too long a path, and then the lock tells. */
	if (result == 0)
		status = by_server(&work, &admin, kind);
	else if (result == PD_NOT_FOUND || result == PD_TOO_LARGE)
		status = of_directory(&work, kind);
	else
		status = pd_backup_work_failed(&work, result, &err);
	pd_admin_close(&admin);
	return pd_backup_work_end(&work, status);
}

int pd_backup_full_run(int argc, char **argv)
{
	return run(&full_options, PD_BACKUP_FULL, argc, argv);
}

int pd_backup_incremental_run(int argc, char **argv)
{
	return run(&incremental_options, PD_BACKUP_INCREMENTAL, argc, argv);
}

int pd_backup_differential_run(int argc, char **argv)
{
	return run(&differential_options, PD_BACKUP_DIFFERENTIAL, argc, argv);
}

int pd_backup_log_run(int argc, char **argv)
{
	return run(&log_options, PD_BACKUP_LOG, argc, argv);
}
