/* `perdure backup`: its subcommands, and what they share. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/backup_private.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "server/bar.h"
#include "server/server.h"

#define LINE_NS UINT64_C(1000000000) /* between two lines of progress */

bool pd_backup_work_begin(struct pd_backup_work *work, const struct pd_options *options, int argc,
			  char **argv, const char **ret_operand, int *ret_status)
{
	struct pd_error err = { 0 };
	int operand;

	*work = (struct pd_backup_work){ .options = options, .output = { .file = stdout } };
	*ret_operand = NULL;
	if (!pd_options_begin(options, argc, argv, &work->given, &operand, ret_status))
		return false;
	if (argc - operand > 1) {
		*ret_status = pd_options_wrong(options, "unexpected word \"%s\"", argv[operand + 1]);
		return false;
	}
	if (operand < argc)
		*ret_operand = argv[operand];
	if (work->given.repository == NULL || work->given.repository[0] == '\0') {
		*ret_status = pd_options_wrong(options, "where are the backups? Say --repository ADDRESS");
		return false;
	}
	work->place.store = (struct pd_object_place){ .address = work->given.repository,
						      .s3_endpoint = work->given.s3_endpoint,
						      .s3_region = work->given.s3_region,
						      .s3_style = work->given.s3_style,
						      .s3_look_first = work->given.s3_look_first,
						      .s3_ca_file = work->given.s3_ca_file };
	work->place.key_file = work->given.key_file;
	work->place.passphrase_file = work->given.passphrase_file;
	if (pd_os_real_new(&work->os, &err) != 0) {
		*ret_status = pd_backup_work_failed(work, PD_NO_MEMORY, &err);
		return false;
	}
	return true;
}

int pd_backup_work_end(struct pd_backup_work *work, int status)
{
	pd_repository_free(work->repository);
	if (work->os != NULL)
		pd_os_free(work->os);
	if (!pd_output_finish(&work->output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	return status;
}

int pd_backup_work_failed(const struct pd_backup_work *work, int result, const struct pd_error *err)
{
	(void)fprintf(stderr, "%s: %s\n", work->options->command, err->text);
	return pd_server_exit_status(result);
}

int pd_backup_work_open(struct pd_backup_work *work)
{
	struct pd_error err = { 0 };
	int result = pd_repository_open(work->os, &work->place, &work->repository, &err);

	return result == 0 ? PD_EXIT_OK : pd_backup_work_failed(work, result, &err);
}

int pd_backup_absolute_path(const char *path, char **ret_path, struct pd_error *err)
{
	char here[4096];

	*ret_path = NULL;
	if (path == NULL || path[0] == '\0')
		return 0;
	if (path[0] != '/' && getcwd(here, sizeof here) == NULL)
		return pd_error_set(
			err, PD_INVALID,
			"the path of the working directory is not known: name '%.200s' by its path "
			"from / on",
			path);
	*ret_path = path[0] == '/' ? pd_strdup(path) : pd_asprintf("%s/%s", here, path);
	return *ret_path != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "out of memory for a path");
}

int pd_backup_scratch_path(const struct pd_backup_work *work, char **ret_path, struct pd_error *err)
{
	const char *place = work->given.scratch != NULL ? work->given.scratch : work->given.repository;
	size_t size = strlen(place);
	uint64_t number;

	*ret_path = NULL;
	if (work->given.scratch == NULL && pd_repository_place_is_remote(&work->place))
		return pd_error_set(err, PD_INVALID,
				    "where is there room to restore on trial? Say --scratch DIR");
	pd_os_random(work->os, &number, sizeof number);
	while (size > 1 && place[size - 1] == '/')
		size--;
	if (work->given.scratch == NULL)
		while (size > 0 && place[size - 1] != '/')
			size--;
	*ret_path = pd_asprintf("%.*s%sperdure-trial-%016" PRIx64, (int)size, place,
				size == 0 || place[size - 1] == '/' ? "" : "/", number);
	return *ret_path != NULL ? 0
				 : pd_error_set(err, PD_NO_MEMORY, "out of memory for a restore on trial");
}

/* ---- progress ---- */

void pd_backup_line_begin(struct pd_backup_work *work, const char *step)
{
	pd_output_open(&work->output, NULL, '{');
	pd_output_string_field(&work->output, "step", step);
}

void pd_backup_line_end(struct pd_backup_work *work)
{
	pd_output_close(&work->output, '}');
	pd_output_end(&work->output);
	(void)fflush(work->output.file);
}

void pd_backup_progress_begin(struct pd_backup_work *work, const char *step)
{
	work->step = step;
	work->told_ns = pd_os_monotonic_ns(work->os);
	pd_progress_init(&work->progress, work->os, step);
}

void pd_backup_progress_tell(struct pd_backup_work *work, uint64_t done, uint64_t total)
{
	uint64_t now_ns = pd_os_monotonic_ns(work->os);
	double seconds = (double)(now_ns - work->progress.started_ns) / 1e9;

	if (!work->given.json) {
		pd_progress_show(&work->progress, done, total);
		return;
	}
	if (now_ns - work->told_ns < LINE_NS)
		return;
	work->told_ns = now_ns;
	pd_backup_line_begin(work, work->step);
	pd_output_number_field(&work->output, "done_bytes", done);
	pd_output_number_field(&work->output, "total_bytes", total);
	if (seconds > 0) {
		pd_output_real_field(&work->output, "bytes_per_s", (double)done / seconds);
		pd_output_real_field(&work->output, "left_s", pd_bar_seconds_left(done, total, seconds));
	}
	pd_backup_line_end(work);
}

void pd_backup_progress_end(struct pd_backup_work *work)
{
	pd_progress_done(&work->progress);
}

bool pd_backup_progress_watch(void *context, uint64_t done, uint64_t total)
{
	pd_backup_progress_tell(context, done, total);
	return true;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "full", "back up everything, or some actors", pd_backup_full_run },
	{ "incremental", "back up what is new since the last backup", pd_backup_incremental_run },
	{ "differential", "back up what is new since the last full backup", pd_backup_differential_run },
	{ "log", "back up the log since the last backup", pd_backup_log_run },
	{ "ls", "which backups there are", pd_backup_list_run },
	{ "info", "what is in one", pd_backup_info_run },
	{ "points", "to which moments one can go back", pd_backup_points_run },
	{ "verify", "prove that they can be restored", pd_backup_verify_run },
	{ "drill", "restore on trial, and say how long it took and what would be lost", pd_backup_drill_run },
	{ "schedule", "what a server makes by itself, and what it has proven", pd_backup_schedule_run },
	{ "expire", "let old ones go", pd_backup_expire_run },
	{ "key", "which keys open them, and others", pd_backup_key_run },
	{ "restore", "make a data directory of one", pd_backup_restore_run },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs backup = {
		.command = "perdure backup",
		.synopsis = "perdure backup full|incremental|differential|log|ls|info|points|verify|drill|"
			    "schedule|expire|key|restore [options]",
		.about = "Backups of a data directory in a repository: a directory on another disk or of "
			 "another\n"
			 "machine, or a place in an object store (S3). What a repository has already is not "
			 "sent again, by whatever backup; "
			 "everything in\n"
			 "it is checked when it is read. A backup is of one moment, and a restored directory "
			 "is compared\n"
			 "with what was then. With the log that the others add, any moment "
			 "between can be\n"
			 "restored.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure backup full --data /var/lib/perdure --repository /backup/perdure\n"
			 "  perdure backup ls --repository /backup/perdure\n"
			 "  perdure backup verify --all --repository /backup/perdure\n"
			 "  perdure backup restore 20261121T014500Z-full --repository /backup/perdure --data "
			 "/var/lib/again\n"
			 "\n" PD_BACKUP_EXIT_STATUSES,
	};

	return pd_verbs_run(&backup, argc, argv);
}

const struct pd_subcommand pd_subcommand_backup = { "backup", "back up a data directory, and restore it",
						    run };
