/* `perdure log`: which of its subcommands, and the log that they look at. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/log_private.h"
#include "cli/verbs.h"
#include "server/server.h"
#include "store/checkpoint.h"

/* ---- the log that is looked at ---- */

static int said(const struct pd_options *options, int status, const char *text)
{
	(void)fprintf(stderr, "%s: %s\n", options->command, text);
	return status;
}

static int said_with(const struct pd_options *options, int status, const char *text, const char *advice)
{
	(void)fprintf(stderr, "%s: %s; %s\n", options->command, text, advice);
	return status;
}

static bool is_directory(const struct pd_cli_log_source *source)
{
	struct pd_os_file_info info;

	return pd_os_info(source->os, source->data, &info, NULL) == 0 && info.is_directory;
}

/* There is no manifest: what is there instead? */
static int without_manifest(struct pd_cli_log_source *source, const struct pd_options *options)
{
	struct pd_os_file_info info;
	struct pd_os_names names;
	struct pd_error err;
	char text[400];
	int result = pd_os_info(source->os, source->data, &info, &err);
	size_t count;

	if (result == PD_NOT_FOUND) {
		(void)snprintf(
			text, sizeof text,
			"there is no directory %.200s; say with --data where the server keeps its data",
			source->data);
		return said(options, PD_EXIT_FAILURE, text);
	}
	if (result != 0)
		return said(options, PD_EXIT_FAILURE, err.text);
	if (info.is_directory && pd_os_info(source->os, source->directory, &info, NULL) == 0) {
		source->manifest_damaged = true;
		(void)snprintf(source->manifest_text, sizeof source->manifest_text,
			       "%.200s/MANIFEST is missing", source->data);
		return 0;
	}
	if (!info.is_directory || pd_os_list(source->os, source->data, &names, NULL) != 0) {
		(void)snprintf(text, sizeof text,
			       "%.200s is not a directory; say with --data where the server keeps its data",
			       source->data);
		return said(options, PD_EXIT_FAILURE, text);
	}
	count = names.count;
	pd_os_names_done(&names);
	(void)snprintf(
		text, sizeof text,
		count == 0 ? "%.200s is empty: no server has kept data in it yet; is --data right?"
			   : "%.200s is no data directory of Perdure, it has no MANIFEST; say with --data "
			     "where the server keeps its data",
		source->data);
	return said(options, PD_EXIT_FAILURE, text);
}

static int read_manifest(struct pd_cli_log_source *source, const struct pd_options *options)
{
	struct pd_error err;
	int result = pd_manifest_read(source->os, source->data, &source->manifest, &err);
	uint32_t shard;

	if (result == PD_PERMISSION)
		return said_with(options, PD_EXIT_FAILURE, err.text,
				 "run this as the user that the server runs as");
	if (result == PD_NOT_FOUND || (result == PD_IO && !is_directory(source))) {
		int status = without_manifest(source, options);

		if (status != 0)
			return status;
	} else if (result == PD_CORRUPT) {
		source->manifest_damaged = true;
		(void)snprintf(source->manifest_text, sizeof source->manifest_text, "%.290s", err.text);
	} else if (result != 0) {
		return said(options, pd_server_exit_status(result), err.text);
	}
	if (!source->manifest_damaged)
		return 0;
	/* The log can still be read if one of its segments says which log it is. */
	(void)fprintf(stderr, "%s: %s\n", options->command, source->manifest_text);
	source->manifest.epoch = 0;
	result = pd_log_file_identify(source->os, source->directory, source->manifest.cluster_id, &shard,
				      &err);
	return result == 0 ? 0 : said(options, PD_EXIT_DAMAGED, err.text);
}

/* The log need not reach back further than the newest checkpoint of the state. 0: there is none. */
static uint64_t trimmed_lsn(const struct pd_cli_log_source *source)
{
	struct pd_checkpoints_options options = { .os = source->os, .only_look = true };
	char *directory = pd_asprintf("%s/store/%04u", source->data, 0u);
	struct pd_checkpoints *shelf = NULL;
	uint64_t lsn = 0;

	options.directory = directory;
	memcpy(options.cluster_id, source->manifest.cluster_id, sizeof options.cluster_id);
	if (directory != NULL && pd_checkpoints_open(&options, &shelf, NULL) == 0 && shelf->count > 0)
		lsn = shelf->items[shelf->count - 1]->position.lsn;
	pd_checkpoints_free(shelf);
	pd_free(directory);
	return lsn;
}

int pd_cli_log_source_open(struct pd_cli_log_source *source, const struct pd_options *options,
			   const char *data, bool json, const char *what)
{
	struct pd_log_options log = { 0 };
	struct pd_error err;
	int result, status;

	*source = (struct pd_cli_log_source){ .data = data, .json = json };
	result = pd_os_real_new(&source->os, &err);
	if (result != 0)
		return said(options, PD_EXIT_FAILURE, err.text);
	source->directory = pd_manifest_log_directory(data, 0);
	if (source->directory == NULL)
		return said(options, PD_EXIT_FAILURE, "out of memory");
	status = read_manifest(source, options);
	if (status != 0)
		return status;
	log.os = source->os;
	log.directory = source->directory;
	memcpy(log.cluster_id, source->manifest.cluster_id, sizeof log.cluster_id);
	log.trimmed_lsn = trimmed_lsn(source);
	result = pd_log_verifier_new(&log, &source->verifier, &err);
	if (result != 0)
		return said(options, pd_server_exit_status(result), err.text);
	source->progressing = what != NULL;
	if (what != NULL)
		pd_progress_init(&source->progress, source->os, what);
	return 0;
}

int pd_cli_log_source_next(struct pd_cli_log_source *source, struct pd_log_sight *ret_sight)
{
	const struct pd_log_totals *totals = pd_log_verifier_totals(source->verifier);
	struct pd_error err;
	int result = pd_log_verifier_next(source->verifier, ret_sight, &err);

	if (source->progressing && result == 0 && ret_sight->kind == PD_SIGHT_GROUP)
		pd_progress_show(&source->progress, totals->seen_bytes + ret_sight->offset,
				 totals->total_bytes);
	if (source->progressing && result != 0)
		pd_progress_done(&source->progress);
	if (result != 0 && result != PD_END)
		(void)fprintf(stderr, "perdure log: %s\n", err.text);
	return result;
}

int pd_cli_log_source_status(const struct pd_cli_log_source *source, int result)
{
	if (result != 0 && result != PD_END)
		return pd_server_exit_status(result);
	if (source->manifest_damaged || pd_log_verifier_totals(source->verifier)->damage_count > 0)
		return PD_EXIT_DAMAGED;
	return PD_EXIT_OK;
}

void pd_cli_log_source_close(struct pd_cli_log_source *source)
{
	pd_log_verifier_free(source->verifier);
	pd_free(source->directory);
	if (source->os != NULL)
		pd_os_free(source->os);
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "dump", "print the records, one line each", pd_cli_log_dump_run },
	{ "verify", "read every byte and say whether it is as it was written", pd_cli_log_verify_run },
	{ "stats", "how many records and bytes, whose, and what a record costs", pd_cli_log_stats_run },
	{ "repair", "heal what is damaged, and say what is lost", pd_cli_log_repair_run },
	{ "compact", "let the server drop what need not be kept", pd_cli_log_compact_run },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs log = {
		.command = "perdure log",
		.synopsis = "perdure log dump|verify|stats|repair|compact [options]",
		.about = "Looks at the log of a data directory. dump, verify and stats change nothing and "
			 "take no lock:\n"
			 "they work beside a running server, up to what that server has written so far, and "
			 "without\n"
			 "one. repair wants the directory for itself, compact goes through the server.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure log verify --data /var/lib/perdure\n"
			 "  perdure log dump --actor alice --key 'cart:*'\n"
			 "  perdure log stats -o json\n"
			 "\n" PD_CLI_LOG_EXIT_STATUSES,
	};

	return pd_verbs_run(&log, argc, argv);
}

const struct pd_subcommand pd_subcommand_log = { "log", "print, verify, measure, repair and compact the log",
						 run };
