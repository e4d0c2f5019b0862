/* `perdure backup verify`: is everything there, and can a directory be made of it? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/catalog.h"
#include "backup/restore.h"
#include "backup/verify.h"
#include "base/memory.h"
#include "cli/backup_private.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	{ "all", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(all), 0, 0, "All backups of the repository." },
	{ "quick", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(quick), 0, 0,
	  "Read and check every object, but restore nothing." },
	{ "scratch", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(scratch), 0, 0,
	  "Where to restore on trial (default: the directory that the\nrepository is in). It needs room for "
	  "one backup." },
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options options = {
	.command = "perdure backup verify",
	.synopsis = "perdure backup verify ID|--all --repository ADDRESS [options]",
	.about =
		"Proves that backups can be restored: every object is read and compared with its name and\n"
		"checksum; then a directory is made of it in a scratch place, recovered as a server does it, "
		"its\nstate compared with what was backed up, and removed again. Of one of some actors, each "
		"is "
		"read as an import\nreads it, and the hash of its state compared. What is missing or damaged "
		"is "
		"named.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup verify 20261121T014500Z-full --repository /backup/perdure\n"
		 "  perdure backup verify --all --quick --repository /backup/perdure && echo sound\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell(struct pd_backup_work *work, const char *id, const struct pd_backup_verdict *verdict,
		 bool rehearsed, const struct pd_backup_restored *restored)
{
	struct pd_output *output = &work->output;

	if (!work->given.json) {
		pd_output_text(output, "%s: sound", id);
		if (rehearsed)
			pd_output_text(output, ", restored on trial in %.1f s",
				       (double)(restored->fetch_us + restored->recover_us) / 1e6);
		pd_output_text(output, "\n");
		return;
	}
	pd_backup_line_begin(work, "verified");
	pd_output_string_field(output, "id", id);
	pd_output_bool_field(output, "sound", true);
	pd_output_number_field(output, "read_bytes", verdict->bytes);
	if (rehearsed) {
		pd_output_real_field(output, "fetch_s", (double)restored->fetch_us / 1e6);
		pd_output_real_field(output, "recover_s", (double)restored->recover_us / 1e6);
		pd_output_string_field(output, "hash", restored->state);
	}
	pd_backup_line_end(work);
}

/* Its own line, and why on standard error. */
static int tell_failed(struct pd_backup_work *work, const char *id, int result, const struct pd_error *err)
{
	if (work->given.json) {
		pd_backup_line_begin(work, "verified");
		pd_output_string_field(&work->output, "id", id);
		pd_output_bool_field(&work->output, "sound", false);
		pd_output_string_field(&work->output, "text", err->text);
		pd_backup_line_end(work);
	}
	return pd_backup_work_failed(work, result, err);
}

/* One of log alone is restored with what it goes on from. */
static int rehearse(struct pd_backup_work *work, const struct pd_catalog *catalog, const char *id,
		    struct pd_backup_restored *ret_restored, struct pd_error *err)
{
	const struct pd_backup_manifest *last = pd_catalog_find(catalog, id);
	struct pd_backup_manifest manifest;
	struct pd_backup_wish wish = { 0 };
	struct pd_backup_restoring order = { .watch = { .go_on = pd_backup_progress_watch,
							.context = work } };
	char *path;
	int result = pd_backup_scratch_path(work, &path, err);

	if (result != 0)
		return result;
	order.target = path;
	pd_backup_manifest_init(&manifest);
	result = last != NULL ? pd_catalog_plan(catalog, last, &wish, &manifest, err)
			      : pd_error_set(err, PD_NOT_FOUND, "backup %s has expired meanwhile", id);
	if (result == 0) {
		pd_backup_progress_begin(work, "restoring on trial");
		result = pd_backup_rehearse(work->repository, &manifest, &order, ret_restored, err);
		pd_backup_progress_end(work);
	}
	pd_backup_manifest_done(&manifest);
	pd_free(path);
	return result;
}

static int check_each(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
		      struct pd_error *err)
{
	int result;

	pd_backup_progress_begin(work, "checking each actor");
	result = pd_backup_check_each(work, manifest, err);
	pd_backup_progress_end(work);
	return result;
}

static int verify_one(struct pd_backup_work *work, const struct pd_catalog *catalog, const char *id,
		      struct pd_backup_seen *seen)
{
	struct pd_backup_watch watch = { .go_on = pd_backup_progress_watch, .context = work };
	struct pd_backup_restored restored = { 0 };
	struct pd_backup_verdict verdict = { 0 };
	struct pd_backup_manifest manifest;
	struct pd_error err = { 0 };
	bool is_whole = !pd_backup_is_of_actors(id);
	int result, status = PD_EXIT_OK;

	pd_backup_manifest_init(&manifest);
	result = pd_backup_manifest_get(work->repository, id, &manifest, &err);
	if (result == 0) {
		pd_backup_progress_begin(work, "verifying");
		result = pd_backup_verify(work->repository, &manifest, seen, &watch, &verdict, &err);
		pd_backup_progress_end(work);
	}
	if (result == 0 && verdict.damaged > 0)
		result = pd_error_set(&err, PD_CORRUPT,
				      "of backup %s %" PRIu64 " objects are damaged or missing: %s", id,
				      verdict.damaged, verdict.first.text);
	if (result == 0 && !work->given.quick)
		result = is_whole ? rehearse(work, catalog, id, &restored, &err)
				  : check_each(work, &manifest, &err);
	if (result == 0)
		tell(work, id, &verdict, is_whole && !work->given.quick, &restored);
	else
		status = tell_failed(work, id, result, &err);
	pd_backup_manifest_done(&manifest);
	return status;
}

static void verify_listed(struct pd_backup_work *work, const struct pd_catalog *catalog,
			  const struct pd_os_names *ids, struct pd_backup_seen *seen, int *status)
{
	for (size_t i = 0; i < ids->count; i++) {
		int one = verify_one(work, catalog, ids->names[i], seen);

		if (*status != PD_EXIT_DAMAGED && one != PD_EXIT_OK)
			*status = one;
	}
}

/* The worst of what they come to: damage, above all. */
static int verify_all(struct pd_backup_work *work, const struct pd_catalog *catalog,
		      struct pd_backup_seen *seen)
{
	struct pd_os_names ids, actors = { 0 };
	struct pd_backup_seen seen_lines;
	struct pd_error err = { 0 };
	int status = PD_EXIT_OK, result = pd_backup_list(work->repository, &ids, &err);

	if (result == 0)
		result = pd_backup_list_actors(work->repository, &actors, &err);
	if (result != 0) {
		pd_os_names_done(&ids);
		return pd_backup_work_failed(work, result, &err);
	}
	pd_backup_seen_init(&seen_lines);
	verify_listed(work, catalog, &ids, seen, &status);
	verify_listed(work, catalog, &actors, &seen_lines, &status);
	pd_backup_seen_done(&seen_lines);
	if (ids.count + actors.count == 0) {
		(void)fprintf(stderr, "%s: there are no backups in %s\n", options.command,
			      work->given.repository);
		status = PD_EXIT_FAILURE;
	}
	pd_os_names_done(&ids);
	pd_os_names_done(&actors);
	return status;
}

int pd_backup_verify_run(int argc, char **argv)
{
	struct pd_catalog catalog = { 0 };
	struct pd_backup_seen seen;
	struct pd_backup_work work;
	struct pd_error err = { 0 };
	const char *id;
	int status, result;

	if (!pd_backup_work_begin(&work, &options, argc, argv, &id, &status))
		return status;
	pd_backup_seen_init(&seen);
	if ((id != NULL) == work.given.all)
		status = pd_options_wrong(&options, "which backup? 'perdure backup ls' lists them; or --all");
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK) {
		result = pd_catalog_load(work.repository, NULL, &catalog, &err);
		status = result != 0      ? pd_backup_work_failed(&work, result, &err)
			 : work.given.all ? verify_all(&work, &catalog, &seen)
					  : verify_one(&work, &catalog, id, &seen);
	}
	pd_catalog_done(&catalog);
	pd_backup_seen_done(&seen);
	return pd_backup_work_end(&work, status);
}
