/* `perdure archive`: its subcommands, and `status`, for which the server is asked. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "cli/admin.h"
#include "cli/archive_private.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "provider/place.h"
#include "server/server.h"
#include "wire/resp.h"

/* ---- an archive without a server ---- */

struct choice {
	struct pd_cli_archive *archive;
	const char *wanted; /* the first digits; NULL: any */
	char all[400];      /* those that were seen */
};

static int see_log(void *context, const struct pd_archive_log *log, struct pd_error *err)
{
	struct choice *choice = context;
	char name[PD_ARCHIVE_NAME_SIZE];
	size_t used = strlen(choice->all);

	(void)err;
	pd_archive_prefix(log, name);
	name[2 * PD_CLUSTER_ID_SIZE] = '\0';
	(void)snprintf(choice->all + used, sizeof choice->all - used, "%s%s", used > 0 ? ", " : "", name);
	if (choice->wanted != NULL && strncmp(name, choice->wanted, strlen(choice->wanted)) != 0)
		return 0;
	choice->archive->log = *log;
	choice->archive->logs++;
	return 0;
}

int pd_cli_archive_failed(const struct pd_options *options, const struct pd_error *err)
{
	(void)fprintf(stderr, "%s: %s\n", options->command, err->text);
	if (err->code == PD_BUSY)
		return PD_EXIT_BUSY;
	return err->code == PD_CORRUPT || err->code == PD_NEWER_FORMAT || err->code == PD_CONFLICT
		       ? PD_EXIT_DAMAGED
		       : PD_EXIT_FAILURE;
}

int pd_cli_archive_open(struct pd_cli_archive *archive, const struct pd_options *options,
			const struct pd_cli_archive_given *given)
{
	const struct pd_object_place place = { .address = given->archive,
					       .s3_endpoint = given->s3_endpoint,
					       .s3_region = given->s3_region,
					       .s3_style = given->s3_style,
					       .s3_ca_file = given->s3_ca_file };
	struct choice choice = { .archive = archive, .wanted = given->cluster };
	struct pd_error err = { 0 };
	int result;

	*archive = (struct pd_cli_archive){ 0 };
	if (given->archive == NULL)
		return pd_options_wrong(options, "which archive? Give its address with --archive");
	result = pd_os_real_new(&archive->os, &err);
	if (result == 0)
		result = pd_object_place_open(archive->os, &place, "archive", &archive->store, &err);
	if (result == 0)
		result = pd_archive_logs(archive->store, see_log, &choice, &err);
	if (result == 0 && archive->logs == 0)
		result = choice.all[0] == '\0' ? pd_error_set(&err, PD_NOT_FOUND, "there is no archive in %s",
							      given->archive)
					       : pd_error_set(&err, PD_NOT_FOUND,
							      "no log of cluster %s is in %s; there are %s",
							      given->cluster, given->archive, choice.all);
	if (result == 0 && archive->logs > 1)
		result = pd_error_set(&err, PD_INVALID,
				      "the logs of several clusters are in %s: say which with --cluster: %s",
				      given->archive, choice.all);
	return result == 0 ? PD_EXIT_OK : pd_cli_archive_failed(options, &err);
}

void pd_cli_archive_close(struct pd_cli_archive *archive)
{
	pd_object_store_free(archive->store);
	if (archive->os != NULL)
		pd_os_free(archive->os);
}

/* ---- status ---- */

struct given {
	const char *data;
	bool json;
};

static const struct pd_option status_table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

static const struct pd_options status_options = {
	.command = "perdure archive status",
	.synopsis = "perdure archive status [options]",
	.about =
		"Asks the server of a data directory how far its log has been followed into the archive: "
		"what is\n"
		"archived and was read back, how far that is behind, what waits on the disk, and what fails.",
	.table = status_table,
	.count = sizeof status_table / sizeof *status_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure archive status --data /var/lib/perdure\n"
		 "  perdure archive status -o json | jq .lag_us\n"
		 "\n"
		 "Exit status:\n"
		 "  0  the log is followed\n"
		 "  1  archiving fails, is refused or off, or no server is running on the directory\n"
		 "  2  the command line is wrong",
};

static const char *const status_numbers[] = { "base_lsn", "archived_lsn", "archived_us",   "durable_lsn",
					      "lag_us",   "lag_bytes",    "waiting_bytes", "disk_limit_bytes",
					      "let_go",   "objects",      "bytes",         "failures",
					      "retry_us", "gaps",         "expired" };
static const char *const status_texts[] = { "failure", "gap", "hold" };

static void print_json(struct pd_output *output, struct pd_slice reply)
{
	pd_output_open(output, NULL, '{');
	pd_output_bytes_field(output, "state", pd_admin_text(reply, "state"));
	pd_output_bytes_field(output, "address", pd_admin_text(reply, "address"));
	for (size_t i = 0; i < sizeof status_numbers / sizeof *status_numbers; i++)
		pd_output_number_field(output, status_numbers[i], pd_admin_number(reply, status_numbers[i]));
	for (size_t i = 0; i < sizeof status_texts / sizeof *status_texts; i++)
		pd_output_bytes_field(output, status_texts[i], pd_admin_text(reply, status_texts[i]));
	pd_output_close(output, '}');
	pd_output_end(output);
}

static void print_line(struct pd_output *output, const char *name, struct pd_slice text)
{
	if (text.size == 0)
		return;
	pd_output_text(output, "%-10s ", name);
	pd_output_lax(output, text);
	pd_output_text(output, "\n");
}

static struct pd_size_text size_of(struct pd_slice reply, const char *name)
{
	return pd_size_text((double)pd_admin_number(reply, name));
}

static void print_text(struct pd_output *output, struct pd_slice reply)
{
	uint64_t lsn = pd_admin_number(reply, "archived_lsn");

	print_line(output, "state", pd_admin_text(reply, "state"));
	if (pd_slice_equal(pd_admin_text(reply, "state"), pd_slice_string("off")))
		return;
	print_line(output, "address", pd_admin_text(reply, "address"));
	if (lsn > 0) {
		pd_output_text(output, "%-10s LSN %" PRIu64 " to %" PRIu64 ", of ", "archived",
			       pd_admin_number(reply, "base_lsn"), lsn);
		pd_output_time(output, pd_admin_number(reply, "archived_us"));
		pd_output_text(output, "\n");
	}
	pd_output_text(output, "%-10s %.3f s, %s; durable is LSN %" PRIu64 "\n", "behind",
		       (double)pd_admin_number(reply, "lag_us") / 1e6, size_of(reply, "lag_bytes").bytes,
		       pd_admin_number(reply, "durable_lsn"));
	pd_output_text(output, "%-10s %s on the disk, of %s%s\n", "waiting",
		       size_of(reply, "waiting_bytes").bytes, size_of(reply, "disk_limit_bytes").bytes,
		       pd_admin_number(reply, "let_go") != 0 ? ": more is let go" : "");
	pd_output_text(output,
		       "%-10s %" PRIu64 " objects, %s of log, %" PRIu64 " failures, %" PRIu64 " gaps\n",
		       "so far", pd_admin_number(reply, "objects"), size_of(reply, "bytes").bytes,
		       pd_admin_number(reply, "failures"), pd_admin_number(reply, "gaps"));
	print_line(output, "failure", pd_admin_text(reply, "failure"));
	print_line(output, "gap", pd_admin_text(reply, "gap"));
	print_line(output, "hold", pd_admin_text(reply, "hold"));
}

static int run_status(int argc, char **argv)
{
	static const char *const command[] = { "PD.ARCHIVE", "STATUS", NULL };
	struct pd_output output = { .file = stdout };
	struct given given = { .data = "./data" };
	struct pd_slice reply, state;
	struct pd_admin admin;
	bool follows;
	int status;

	if (!pd_options_take(&status_options, argc, argv, &given, &status))
		return status;
	status = pd_admin_begin(&admin, &status_options, given.data, command, &reply);
	if (status == PD_EXIT_OK) {
		state = pd_admin_text(reply, "state");
		follows = pd_slice_equal(state, pd_slice_string("following")) ||
			  pd_slice_equal(state, pd_slice_string("starting"));
		if (given.json)
			print_json(&output, reply);
		else
			print_text(&output, reply);
		status = pd_output_finish(&output) && follows ? PD_EXIT_OK : PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "status", "how far a server's log is archived, and what fails", run_status },
	{ "ls", "what is in an archive", pd_cli_archive_ls_run },
	{ "verify", "read an archive back and check all of it", pd_cli_archive_verify_run },
	{ "fetch", "make a data directory of an archived log", pd_cli_archive_fetch_run },
	{ "expire", "let go of what is older than it has to be", pd_cli_archive_expire_run },
	{ "hold", "let nothing expire, for as long as the hold is there", pd_cli_archive_hold_run },
	{ "release", "end a hold", pd_cli_archive_release_run },
	{ "holds", "which holds there are, and why", pd_cli_archive_holds_run },
	{ "export", "write it as lines of JSON", pd_cli_archive_export_run },
	{ "check-export", "is an export sound?", pd_cli_archive_check_export_run },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs archive = {
		.command = "perdure archive",
		.synopsis = "perdure archive "
			    "status|ls|verify|fetch|expire|hold|release|holds|export|check-export [options]",
		.about = "A server that is given --archive follows its log into an archive as it is written. "
			 "status asks\n"
			 "the server about that; the others look at the archive itself, and need no server.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure archive status\n"
			 "  perdure archive ls --archive /mnt/archive\n"
			 "  perdure archive fetch --archive /mnt/archive --to /var/lib/perdure-again\n"
			 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
	};

	return pd_verbs_run(&archive, argc, argv);
}

const struct pd_subcommand pd_subcommand_archive = { "archive",
						     "follow the log into an archive, and have it back",
						     run };
