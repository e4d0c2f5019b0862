/* `perdure archive ls`, `verify` and `fetch`: an archive as it lies there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "archive/extend.h"
#include "archive/fetch.h"
#include "archive/object.h"
#include "base/memory.h"
#include "cli/archive_private.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/manifest.h"
#include "server/server.h"

static const struct pd_option look_table[] = { PD_CLI_ARCHIVE_OPTIONS };
#define LOOK_COUNT (sizeof look_table / sizeof *look_table)

/* ---- ls ---- */

static const struct pd_options ls_options = {
	.command = "perdure archive ls",
	.synopsis = "perdure archive ls [options]",
	.about = "Lists what of a log is in an archive: each base, a run of the log without a gap, with its "
		 "LSNs, its\n"
		 "times and its size. It reads names only: verify reads all.",
	.table = look_table,
	.count = LOOK_COUNT,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = PD_CLI_ARCHIVE_EXIT_STATUSES,
};

static void print_run(struct pd_output *output, const struct pd_archive_run *run, bool json)
{
	if (json) {
		pd_output_open(output, NULL, '{');
		pd_output_number_field(output, "base_lsn", run->base);
		pd_output_number_field(output, "first_lsn", run->first_lsn);
		pd_output_number_field(output, "last_lsn", run->last_lsn);
		pd_output_number_field(output, "epoch", run->epoch);
		pd_output_time_field(output, "from", run->first_time_us);
		pd_output_time_field(output, "to", run->last_time_us);
		pd_output_number_field(output, "objects", run->count);
		pd_output_number_field(output, "bytes", run->bytes);
		if (run->broken) {
			pd_output_number_field(output, "missing_lsn", run->missing_lsn);
			pd_output_number_field(output, "missing_end_lsn", run->missing_end_lsn);
		}
		pd_output_close(output, '}');
		return;
	}
	pd_output_text(output, "LSN %" PRIu64 " to %" PRIu64 ", ", run->first_lsn, run->last_lsn);
	pd_output_time(output, run->first_time_us);
	pd_output_text(output, " to ");
	pd_output_time(output, run->last_time_us);
	pd_output_text(output, ", %zu objects, %s\n", run->count, pd_size_text((double)run->bytes).bytes);
	if (run->broken)
		pd_output_text(output,
			       "  MISSING from LSN %" PRIu64 " to before LSN %" PRIu64
			       ": put back a copy of these objects\n",
			       run->missing_lsn, run->missing_end_lsn);
}

static void print_cluster(struct pd_output *output, const struct pd_archive_log *log, bool json)
{
	char name[PD_ARCHIVE_NAME_SIZE];

	pd_archive_prefix(log, name);
	name[2 * PD_CLUSTER_ID_SIZE] = '\0';
	if (json)
		pd_output_string_field(output, "cluster", name);
	else
		pd_output_text(output, "cluster %s\n", name);
}

static int list(const struct pd_cli_archive *archive, bool json, bool *ret_broken, struct pd_error *err)
{
	struct pd_output output = { .file = stdout };
	struct pd_archive_catalog catalog;
	int result;

	pd_archive_catalog_init(&catalog);
	result = pd_archive_catalog_load(&catalog, archive->store, &archive->log, 0, err);
	if (result == 0) {
		if (json)
			pd_output_open(&output, NULL, '{');
		print_cluster(&output, &archive->log, json);
		if (json)
			pd_output_open(&output, "bases", '[');
		for (size_t i = 0; i < catalog.run_count; i++) {
			print_run(&output, &catalog.runs[i], json);
			*ret_broken = *ret_broken || catalog.runs[i].broken;
		}
		if (json) {
			pd_output_close(&output, ']');
			pd_output_close(&output, '}');
			pd_output_end(&output);
		}
		if (!pd_output_finish(&output))
			result = pd_error_set(err, PD_IO, "not everything could be written");
	}
	pd_archive_catalog_done(&catalog);
	return result;
}

int pd_cli_archive_ls_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	bool broken = false;
	int status;

	if (!pd_options_take(&ls_options, argc, argv, &given, &status))
		return status;
	status = pd_cli_archive_open(&archive, &ls_options, &given);
	if (status == PD_EXIT_OK && list(&archive, given.json, &broken, &err) != 0)
		status = pd_cli_archive_failed(&ls_options, &err);
	else if (status == PD_EXIT_OK && broken)
		status = PD_EXIT_DAMAGED;
	pd_cli_archive_close(&archive);
	return status;
}

/* ---- verify ---- */

static const struct pd_options verify_options = {
	.command = "perdure archive verify",
	.synopsis = "perdure archive verify [options]",
	.about = "Reads everything of a log that is in an archive and checks it: names, headers, hashes, and "
		 "that\n"
		 "objects follow each other without a hole. What is damaged or missing is named, with its "
		 "LSNs.",
	.table = look_table,
	.count = LOOK_COUNT,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure archive verify --archive /mnt/archive && echo sound\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
};

struct check {
	struct pd_output output;
	bool json;
	uint64_t objects, bytes, damaged;
};

static void report(struct check *check, const char *what, uint64_t first_lsn, uint64_t end_lsn)
{
	check->damaged++;
	if (!check->json) {
		pd_output_text(&check->output, "DAMAGE %s\n", what);
		return;
	}
	pd_output_open(&check->output, NULL, '{');
	pd_output_string_field(&check->output, "damage", what);
	pd_output_number_field(&check->output, "first_lsn", first_lsn);
	pd_output_number_field(&check->output, "end_lsn", end_lsn);
	pd_output_close(&check->output, '}');
}

/* The objects of a run: each, and that it follows the one before. */
static int check_run(const struct pd_cli_archive *archive, const struct pd_archive_catalog *catalog,
		     const struct pd_archive_run *run, struct pd_progress *progress, uint64_t total,
		     struct check *check, struct pd_error *err)
{
	uint32_t chain = 0;
	bool chained = false;
	char text[600];

	for (size_t i = run->first; i < run->first + run->count; i++) {
		const struct pd_archive_item *item = &catalog->items[i];
		uint64_t first = item->part.stretch.first_lsn, end = item->part.stretch.last_lsn + 1;
		struct pd_archive_part part;
		int result = pd_archive_object_get(archive->store, &archive->log, &item->part, NULL, &part,
						   err);

		check->objects++;
		check->bytes += item->bytes;
		pd_progress_show(progress, check->bytes, total);
		if (result == PD_CORRUPT || result == PD_NOT_FOUND) {
			report(check, err->text, first, end);
			chained = false;
			continue;
		}
		if (result != 0)
			return result;
		if (chained && part.stretch.previous_crc != chain) {
			(void)snprintf(text, sizeof text,
				       "what has LSN %" PRIu64 " to %" PRIu64
				       " does not follow what is before it: it is of another history",
				       first, end - 1);
			report(check, text, first, end);
		}
		chain = part.stretch.last_crc;
		chained = true;
	}
	if (run->broken) {
		(void)snprintf(text, sizeof text,
			       "objects from LSN %" PRIu64 " to before LSN %" PRIu64
			       " are missing (base %" PRIu64 ")",
			       run->missing_lsn, run->missing_end_lsn, run->base);
		report(check, text, run->missing_lsn, run->missing_end_lsn);
	}
	return 0;
}

static int verify(const struct pd_cli_archive *archive, struct check *check, struct pd_error *err)
{
	struct pd_archive_catalog catalog;
	struct pd_progress progress;
	uint64_t total = 0;
	int result;

	pd_progress_init(&progress, archive->os, "verifying");
	pd_archive_catalog_init(&catalog);
	result = pd_archive_catalog_load(&catalog, archive->store, &archive->log, 0, err);
	for (size_t i = 0; i < catalog.run_count; i++)
		total += catalog.runs[i].bytes;
	for (size_t i = 0; result == 0 && i < catalog.run_count; i++)
		result = check_run(archive, &catalog, &catalog.runs[i], &progress, total, check, err);
	pd_progress_done(&progress);
	pd_archive_catalog_done(&catalog);
	return result;
}

int pd_cli_archive_verify_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct check check = { .output = { .file = stdout } };
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&verify_options, argc, argv, &given, &status))
		return status;
	check.json = given.json;
	status = pd_cli_archive_open(&archive, &verify_options, &given);
	if (status == PD_EXIT_OK) {
		if (given.json) {
			pd_output_open(&check.output, NULL, '{');
			pd_output_open(&check.output, "damage", '[');
		}
		if (verify(&archive, &check, &err) != 0)
			status = pd_cli_archive_failed(&verify_options, &err);
		else if (check.damaged > 0)
			status = PD_EXIT_DAMAGED;
		if (given.json) {
			pd_output_close(&check.output, ']');
			pd_output_number_field(&check.output, "objects", check.objects);
			pd_output_number_field(&check.output, "bytes", check.bytes);
			pd_output_bool_field(&check.output, "sound", status == PD_EXIT_OK);
			pd_output_close(&check.output, '}');
			pd_output_end(&check.output);
		} else if (err.code == 0) {
			pd_output_text(&check.output, "%" PRIu64 " objects, %s: %" PRIu64 " damaged places\n",
				       check.objects, pd_size_text((double)check.bytes).bytes, check.damaged);
		}
		if (!pd_output_finish(&check.output) && status == PD_EXIT_OK)
			status = PD_EXIT_FAILURE;
	}
	pd_cli_archive_close(&archive);
	return status;
}

/* ---- fetch ---- */

static const struct pd_option fetch_table[] = {
	PD_CLI_ARCHIVE_OPTIONS,
	{ "to", "DIR", PD_OPTION_TEXT, offsetof(struct pd_cli_archive_given, to), 0, 0,
	  "The data directory to make. It must not be there yet." },
	{ "onto", "DIR", PD_OPTION_TEXT, offsetof(struct pd_cli_archive_given, onto), 0, 0,
	  "Instead: a data directory that nobody serves, an older copy of the same log. It gets what comes\n"
	  "after." },
	{ "to-lsn", "LSN", PD_OPTION_NUMBER, offsetof(struct pd_cli_archive_given, to_lsn), 1, 0,
	  "So far at least, and no further than the segment or piece with it (default: all there is)." },
};

static const struct pd_options fetch_options = {
	.command = "perdure archive fetch",
	.synopsis = "perdure archive fetch --archive ADDRESS --to DIR|--onto DIR [options]",
	.about = "Makes a data directory of a log that was archived from its beginning. A server that is "
		 "started on it\n"
		 "replays the log, and has the state of then. All is checked before: the directory is there "
		 "whole, or not\n"
		 "taken for one.\n"
		 "\n"
		 "With --onto, an older copy of a data directory gets what its log does not have.",
	.table = fetch_table,
	.count = sizeof fetch_table / sizeof *fetch_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure archive fetch --archive /mnt/archive --to ./again && perdure server --data "
		 "./again\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES "\n"
		 "  3  --onto: a server has the data directory",
};

struct fetching {
	struct pd_progress progress;
};

static bool show_fetching(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct fetching *fetching = context;

	pd_progress_show(&fetching->progress, done_bytes, total_bytes);
	return true;
}

/* The directory, and the one that logs lie in. */
static int make_directories(struct pd_os *os, const char *directory, struct pd_error *err)
{
	char *logs = pd_asprintf("%s/log", directory);
	int result = logs == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory")
				  : pd_os_mkdir(os, directory, err);

	if (result == PD_EXISTS)
		result = pd_error_set(err, PD_EXISTS,
				      "there is a %s already: name a directory that is not there yet",
				      directory);
	if (result == 0)
		result = pd_os_mkdir(os, logs, err);
	pd_free(logs);
	return result;
}

static int fetch(const struct pd_cli_archive *archive, const struct pd_cli_archive_given *given,
		 struct pd_archive_fetched *ret_fetched, struct pd_error *err)
{
	struct fetching fetching;
	struct pd_archive_fetch fetch = { .os = archive->os,
					  .store = archive->store,
					  .log = archive->log,
					  .to_lsn = given->to_lsn > 0 ? given->to_lsn : UINT64_MAX,
					  .go_on = show_fetching,
					  .context = &fetching };
	char *log = pd_manifest_log_directory(given->to, archive->log.shard);
	int result;

	if (log == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	fetch.directory = log;
	pd_progress_init(&fetching.progress, archive->os, "fetching");
	result = pd_archive_fetch(&fetch, ret_fetched, err);
	pd_progress_done(&fetching.progress);
	pd_free(log);
	if (result != 0)
		return result;
	/* Only that makes it a data directory. */
	return pd_archive_fetch_finish(&fetch, ret_fetched, given->to, err);
}

/* In a directory of its own, which goes again where it did not become one. */
static int fetch_into(const struct pd_cli_archive *archive, const struct pd_cli_archive_given *given,
		      struct pd_archive_fetched *ret_fetched, struct pd_error *err)
{
	struct pd_error why;
	int result = make_directories(archive->os, given->to, err);

	if (result != 0)
		return result;
	result = fetch(archive, given, ret_fetched, err);
	if (result != 0 && pd_os_remove_tree(archive->os, given->to, &why) != 0)
		(void)fprintf(stderr, "%s: what is left of %s cannot be removed: %s\n", fetch_options.command,
			      given->to, why.text);
	return result;
}

static void print_fetched(struct pd_output *output, const struct pd_archive_fetched *fetched, const char *to,
			  bool json)
{
	if (json) {
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "directory", to);
		pd_output_number_field(output, "first_lsn", fetched->first_lsn);
		pd_output_number_field(output, "last_lsn", fetched->last_lsn);
		pd_output_number_field(output, "epoch", fetched->last_epoch);
		pd_output_time_field(output, "time", fetched->last_time_us);
		pd_output_number_field(output, "segments", fetched->segments);
		pd_output_number_field(output, "bytes", fetched->bytes);
		pd_output_close(output, '}');
		pd_output_end(output);
		return;
	}
	pd_output_text(output, "%s: LSN %" PRIu64 " to %" PRIu64 ", of ", to, fetched->first_lsn,
		       fetched->last_lsn);
	pd_output_time(output, fetched->last_time_us);
	pd_output_text(output,
		       "; %s of log. Start a server on it, with an archive address of its own while the "
		       "first one may run\n",
		       pd_size_text((double)fetched->bytes).bytes);
}

static int extend(const struct pd_cli_archive *archive, const struct pd_cli_archive_given *given,
		  struct pd_output *output)
{
	struct fetching fetching;
	struct pd_archive_extend order = { .os = archive->os,
					   .store = archive->store,
					   .data_directory = given->onto,
					   .go_on = show_fetching,
					   .context = &fetching };
	struct pd_archive_extended extended;
	struct pd_error err = { 0 };
	int result;

	pd_progress_init(&fetching.progress, archive->os, "fetching");
	result = pd_archive_extend(&order, &extended, &err);
	pd_progress_done(&fetching.progress);
	if (result != 0)
		return pd_cli_archive_failed(&fetch_options, &err);
	if (given->json) {
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "directory", given->onto);
		pd_output_number_field(output, "before_lsn", extended.before_lsn);
		pd_output_number_field(output, "last_lsn", extended.last_lsn);
		pd_output_time_field(output, "time", extended.last_time_us);
		pd_output_number_field(output, "segments", extended.segments);
		pd_output_number_field(output, "bytes", extended.bytes);
		pd_output_close(output, '}');
		pd_output_end(output);
	} else {
		pd_output_text(output,
			       "%s: the log ended with LSN %" PRIu64 ", and ends with LSN %" PRIu64
			       " now, of ",
			       given->onto, extended.before_lsn, extended.last_lsn);
		pd_output_time(output, extended.last_time_us);
		pd_output_text(output, "; the next start replays it\n");
	}
	return pd_output_finish(output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

int pd_cli_archive_fetch_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct pd_output output = { .file = stdout };
	struct pd_archive_fetched fetched;
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&fetch_options, argc, argv, &given, &status))
		return status;
	if ((given.to == NULL) == (given.onto == NULL))
		return pd_options_wrong(&fetch_options,
					"where to? Name a directory with --to, or with --onto");
	if (given.onto != NULL && given.to_lsn > 0)
		return pd_options_wrong(&fetch_options, "--to-lsn goes with --to; --onto takes all there is");
	status = pd_cli_archive_open(&archive, &fetch_options, &given);
	if (status == PD_EXIT_OK && given.onto != NULL) {
		status = extend(&archive, &given, &output);
	} else if (status == PD_EXIT_OK) {
		if (fetch_into(&archive, &given, &fetched, &err) != 0) {
			status = pd_cli_archive_failed(&fetch_options, &err);
		} else {
			print_fetched(&output, &fetched, given.to, given.json);
			status = pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
		}
	}
	pd_cli_archive_close(&archive);
	return status;
}
