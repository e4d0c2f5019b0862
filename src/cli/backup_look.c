/* `perdure backup ls` and `info`: what a repository has. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/catalog.h"
#include "backup/restore.h"
#include "cli/backup_private.h"
#include "engine/engine.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	PD_BACKUP_OPTION_JSON,
};
#define TABLE_COUNT (sizeof table / sizeof *table)

/* ---- ls ---- */

static const struct pd_options list_options = {
	.command = "perdure backup ls",
	.synopsis = "perdure backup ls --repository ADDRESS [options]",
	.about = "Lists the backups of a repository in the order in which they were made: id, moment, keys, "
		 "the bytes of its "
		 "files,\nand those of the objects that hold them.\n"
		 "Only the manifests are read; 'perdure backup verify' looks at the rest.",
	.table = table,
	.count = TABLE_COUNT,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup ls --repository /backup/perdure\n"
		 "  perdure backup ls --repository /backup/perdure -o json | jq -r .id | tail -1\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell_one(struct pd_backup_work *work, const struct pd_backup_manifest *manifest)
{
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(manifest->shard, manifest->end.epoch, manifest->end.lsn, bookmark);
	if (!work->given.json) {
		pd_output_text(output, "%-28s ", manifest->id);
		pd_output_time(output, manifest->end.time_us);
		pd_output_text(output, "  LSN %-12" PRIu64 " %12" PRIu64 " keys %12s, stored as %s",
			       manifest->end.lsn, manifest->keys,
			       pd_size_text((double)pd_backup_manifest_bytes(manifest)).bytes,
			       pd_size_text((double)pd_backup_manifest_stored(manifest)).bytes);
		if (manifest->kind == PD_BACKUP_ACTORS) {
			pd_output_text(output, ": ");
			pd_backup_print_selection(output, manifest);
		}
		pd_output_text(output, "\n");
		return;
	}
	pd_backup_line_begin(work, "backup");
	pd_output_string_field(output, "id", manifest->id);
	pd_output_string_field(output, "kind", pd_backup_kind_name(manifest->kind));
	pd_output_string_field(output, "at", bookmark);
	pd_output_time_field(output, "at_time", manifest->end.time_us);
	pd_output_number_field(output, "lsn", manifest->end.lsn);
	pd_output_time_field(output, "made", manifest->ended_us);
	pd_backup_selection_fields(output, manifest);
	pd_output_number_field(output, "actors", manifest->actors);
	pd_output_number_field(output, "keys", manifest->keys);
	pd_output_number_field(output, "bytes", pd_backup_manifest_bytes(manifest));
	pd_output_number_field(output, "stored_bytes", pd_backup_manifest_stored(manifest));
	pd_output_number_field(output, "sent_bytes", manifest->sent);
	pd_backup_line_end(work);
}

/* Of both kinds, in the order in which they were made. */
static void tell_all(struct pd_backup_work *work, const struct pd_catalog *whole,
		     const struct pd_catalog *actors)
{
	for (size_t i = 0, j = 0; i < whole->count || j < actors->count;)
		if (j == actors->count ||
		    (i < whole->count && whole->items[i].lease < actors->items[j].lease))
			tell_one(work, &whole->items[i++]);
		else
			tell_one(work, &actors->items[j++]);
}

/* One that cannot be read does not hide the others. */
static int list(struct pd_backup_work *work)
{
	struct pd_catalog whole, actors = { 0 };
	struct pd_error err = { 0 }, why = { 0 };
	int status = PD_EXIT_OK, result = pd_catalog_load(work->repository, NULL, &whole, &err);

	if (result != 0)
		return pd_backup_work_failed(work, result, &err);
	result = pd_catalog_load_actors(work->repository, NULL, &actors, &why);
	tell_all(work, &whole, &actors);
	if (whole.damaged > 0)
		status = pd_backup_work_failed(work, PD_CORRUPT, &whole.first);
	if (actors.damaged > 0)
		status = pd_backup_work_failed(work, PD_CORRUPT, &actors.first);
	if (result != 0)
		status = pd_backup_work_failed(work, result, &why);
	if (status == PD_EXIT_OK && whole.count + actors.count == 0 && !work->given.json)
		pd_output_text(&work->output, "no backups yet\n");
	pd_catalog_done(&whole);
	pd_catalog_done(&actors);
	return status;
}

int pd_backup_list_run(int argc, char **argv)
{
	struct pd_backup_work work;
	const char *operand;
	int status;

	if (!pd_backup_work_begin(&work, &list_options, argc, argv, &operand, &status))
		return status;
	if (operand != NULL)
		status = pd_options_wrong(&list_options, "unexpected word \"%s\"", operand);
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = list(&work);
	return pd_backup_work_end(&work, status);
}

/* ---- info ---- */

static const struct pd_options info_options = {
	.command = "perdure backup info",
	.synopsis = "perdure backup info ID --repository ADDRESS [options]",
	.about = "Says what a backup is of and what is in it: moment, hash of the state, files; of one of "
		 "some actors\nwhich they are, with the hash of each.",
	.table = table,
	.count = TABLE_COUNT,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = PD_BACKUP_EXIT_STATUSES,
};

static int info_text(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
		     struct pd_error *err)
{
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(manifest->shard, manifest->end.epoch, manifest->end.lsn, bookmark);
	pd_output_text(output, "%-10s %s\n%-10s %s\n", "id", manifest->id, "kind",
		       pd_backup_kind_name(manifest->kind));
	pd_output_text(output, "%-10s %s, ", "moment", bookmark);
	pd_output_time(output, manifest->end.time_us);
	pd_output_text(output, ", LSN %" PRIu64 "\n%-10s ", manifest->end.lsn, "made");
	pd_output_time(output, manifest->ended_us);
	pd_output_text(output, " by Perdure %s\n", manifest->tool);
	if (manifest->base.lsn > 0)
		pd_output_text(output, "%-10s LSN %" PRIu64 "\n", "checkpoint", manifest->base.lsn);
	if (manifest->kind == PD_BACKUP_ACTORS) {
		pd_output_text(output, "%-10s ", "of");
		pd_backup_print_selection(output, manifest);
		pd_output_text(output, "\n");
	} else {
		pd_output_text(output, "%-10s %s\n", "state",
			       manifest->has_state ? manifest->state : "not known");
	}
	pd_output_text(output, "%-10s %" PRIu64 "\n%-10s %" PRIu64 ", %" PRIu64 " bytes\n", "actors",
		       manifest->actors, "keys", manifest->keys, manifest->bytes);
	pd_output_text(output,
		       "%-10s %zu, %" PRIu64 " bytes, stored as %" PRIu64 ", of which %" PRIu64
		       " were sent for this backup\n",
		       manifest->kind == PD_BACKUP_ACTORS ? "pieces" : "files", manifest->file_count,
		       pd_backup_manifest_bytes(manifest), pd_backup_manifest_stored(manifest),
		       manifest->sent);
	for (size_t i = 0; i < manifest->file_count; i++)
		if (manifest->files[i].name != NULL)
			pd_output_text(output, "  %12" PRIu64 " %12" PRIu64 "  %s\n", manifest->files[i].size,
				       manifest->files[i].stored, manifest->files[i].name);
	return manifest->kind == PD_BACKUP_ACTORS ? pd_backup_print_actors(work, manifest, err) : 0;
}

static int info_json(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
		     struct pd_error *err)
{
	int result = 0;
	struct pd_output *output = &work->output;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(manifest->shard, manifest->end.epoch, manifest->end.lsn, bookmark);
	pd_backup_line_begin(work, "backup");
	pd_output_string_field(output, "id", manifest->id);
	pd_output_string_field(output, "kind", pd_backup_kind_name(manifest->kind));
	if (manifest->parent[0] != '\0')
		pd_output_string_field(output, "parent", manifest->parent);
	pd_output_string_field(output, "at", bookmark);
	pd_output_time_field(output, "at_time", manifest->end.time_us);
	pd_backup_selection_fields(output, manifest);
	pd_output_number_field(output, "lsn", manifest->end.lsn);
	pd_output_number_field(output, "epoch", manifest->end.epoch);
	pd_output_number_field(output, "checkpoint_lsn", manifest->base.lsn);
	pd_output_time_field(output, "begun", manifest->begun_us);
	pd_output_time_field(output, "made", manifest->ended_us);
	pd_output_string_field(output, "version", manifest->tool);
	if (manifest->has_state)
		pd_output_string_field(output, "hash", manifest->state);
	pd_output_number_field(output, "actors", manifest->actors);
	pd_output_number_field(output, "keys", manifest->keys);
	pd_output_number_field(output, "key_bytes", manifest->bytes);
	pd_output_number_field(output, "bytes", pd_backup_manifest_bytes(manifest));
	pd_output_number_field(output, "stored_bytes", pd_backup_manifest_stored(manifest));
	pd_output_number_field(output, "sent_bytes", manifest->sent);
	pd_output_open(output, "files", '[');
	for (size_t i = 0; i < manifest->file_count; i++) {
		if (manifest->files[i].name == NULL)
			continue;
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "name", manifest->files[i].name);
		pd_output_number_field(output, "bytes", manifest->files[i].size);
		pd_output_number_field(output, "stored_bytes", manifest->files[i].stored);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	if (manifest->kind == PD_BACKUP_ACTORS) {
		pd_output_open(output, "members", '[');
		result = pd_backup_print_actors(work, manifest, err);
		pd_output_close(output, ']');
	}
	pd_backup_line_end(work);
	return result;
}

static int info(struct pd_backup_work *work, const char *id)
{
	struct pd_backup_manifest manifest;
	struct pd_error err = { 0 };
	int result, status = PD_EXIT_OK;

	pd_backup_manifest_init(&manifest);
	result = pd_backup_manifest_get(work->repository, id, &manifest, &err);
	if (result == 0)
		result = work->given.json ? info_json(work, &manifest, &err)
					  : info_text(work, &manifest, &err);
	if (result != 0)
		status = pd_backup_work_failed(work, result, &err);
	pd_backup_manifest_done(&manifest);
	return status;
}

int pd_backup_info_run(int argc, char **argv)
{
	struct pd_backup_work work;
	const char *id;
	int status;

	if (!pd_backup_work_begin(&work, &info_options, argc, argv, &id, &status))
		return status;
	if (id == NULL)
		status = pd_options_wrong(&info_options, "which backup? 'perdure backup ls' lists them");
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = info(&work, id);
	return pd_backup_work_end(&work, status);
}

/* ---- points ---- */

static const struct pd_option points_table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	PD_BACKUP_OPTIONS_OF_ARCHIVE,
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options points_options = {
	.command = "perdure backup points",
	.synopsis = "perdure backup points --repository ADDRESS [options]",
	.about = "Says to which moments one can go back: from where to where 'perdure backup restore --at' "
		 "can make any. "
		 "Two\nstretches are two histories, or there is log between them that no backup has. With "
		 "--archive "
		 "it says how far\nan archive goes on from there, by the names in it.",
	.table = points_table,
	.count = sizeof points_table / sizeof *points_table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS + PD_BACKUP_ARCHIVE_OPTIONS,
	.after = PD_BACKUP_EXIT_STATUSES,
};

/* Does none go on from it? */
static bool is_last(const struct pd_catalog *catalog, const struct pd_backup_manifest *manifest)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (strcmp(catalog->items[i].parent, manifest->id) == 0)
			return false;
	return true;
}

/* How far an archive goes on from there, as its list tells. One of another history does not. */
static int reach_further(struct pd_backup_work *work, const struct pd_backup_manifest *last,
			 struct pd_backup_moment *ret_end, struct pd_error *err)
{
	struct pd_backup_sources sources;
	struct pd_backup_restoring order = { .told = NULL };
	uint64_t bytes;
	int result = pd_backup_sources_open(work, last, &sources, err);

	*ret_end = last->end;
	order.sources = sources.items;
	order.source_count = sources.count;
	if (result == 0)
		result = pd_backup_restore_plan(work->os, last, &order, ret_end, &bytes, err);
	pd_backup_sources_close(&sources);
	return result == PD_CONFLICT ? 0 : result;
}

static void tell_reach(struct pd_backup_work *work, const struct pd_backup_manifest *last,
		       const struct pd_backup_reach *reach, const struct pd_backup_moment *further)
{
	struct pd_output *output = &work->output;
	/* A full one without log behind its checkpoint is one moment. */
	uint64_t from = reach->from.lsn > 0 ? reach->from.lsn : 1;

	if (work->given.json) {
		pd_backup_line_begin(work, "stretch");
		pd_output_number_field(output, "from_lsn", from);
		if (reach->from.lsn > 0)
			pd_output_time_field(output, "from_time", reach->from.time_us);
		pd_output_number_field(output, "to_lsn", reach->to.lsn);
		pd_output_time_field(output, "to_time", reach->to.time_us);
		pd_output_string_field(output, "oldest", reach->oldest->id);
		pd_output_string_field(output, "newest", last->id);
		if (further->lsn > reach->to.lsn) {
			pd_output_number_field(output, "archived_lsn", further->lsn);
			pd_output_time_field(output, "archived_time", further->time_us);
		}
		pd_backup_line_end(work);
		return;
	}
	pd_output_text(output, "LSN %" PRIu64 " to %" PRIu64 ", ", from, reach->to.lsn);
	if (reach->from.lsn > 0)
		pd_output_time(output, reach->from.time_us);
	else
		pd_output_text(output, "the beginning");
	pd_output_text(output, " to ");
	pd_output_time(output, reach->to.time_us);
	pd_output_text(output, ", by %s\n", last->id);
	if (further->lsn <= reach->to.lsn)
		return;
	pd_output_text(output, "  and to LSN %" PRIu64 ", ", further->lsn);
	pd_output_time(output, further->time_us);
	pd_output_text(output, ", with the archive %s\n", work->given.archive);
}

/* Moments of some actors, each by itself. */
static int tell_actors(struct pd_backup_work *work, size_t *ret_count)
{
	struct pd_output *output = &work->output;
	struct pd_catalog catalog;
	struct pd_error err = { 0 };
	int result = pd_catalog_load_actors(work->repository, NULL, &catalog, &err);

	*ret_count = 0;
	if (result != 0)
		return pd_backup_work_failed(work, result, &err);
	for (size_t i = 0; i < catalog.count; i++) {
		const struct pd_backup_manifest *manifest = &catalog.items[i];

		if (work->given.json) {
			pd_backup_line_begin(work, "actors");
			pd_output_number_field(output, "lsn", manifest->end.lsn);
			pd_output_time_field(output, "time", manifest->end.time_us);
			pd_output_string_field(output, "id", manifest->id);
			pd_backup_selection_fields(output, manifest);
			pd_output_number_field(output, "actors", manifest->actors);
			pd_backup_line_end(work);
			continue;
		}
		pd_output_text(output, "LSN %" PRIu64 " only, ", manifest->end.lsn);
		pd_output_time(output, manifest->end.time_us);
		pd_output_text(output, ", by %s: ", manifest->id);
		pd_backup_print_selection(output, manifest);
		pd_output_text(output, "\n");
	}
	*ret_count = catalog.count;
	result = catalog.damaged > 0 ? pd_backup_work_failed(work, PD_CORRUPT, &catalog.first) : PD_EXIT_OK;
	pd_catalog_done(&catalog);
	return result;
}

static int points(struct pd_backup_work *work)
{
	size_t others;
	struct pd_catalog catalog;
	struct pd_error err = { 0 };
	int status = PD_EXIT_OK, result = pd_catalog_load(work->repository, NULL, &catalog, &err);

	if (result != 0)
		return pd_backup_work_failed(work, result, &err);
	if (catalog.damaged > 0)
		status = pd_backup_work_failed(work, PD_CORRUPT, &catalog.first);
	for (size_t i = 0; i < catalog.count; i++) {
		const struct pd_backup_manifest *last = &catalog.items[i];
		struct pd_backup_moment further;
		struct pd_backup_reach reach;

		if (!is_last(&catalog, last))
			continue;
		result = pd_catalog_reach(&catalog, last, &reach, &err);
		if (result != 0) {
			status = pd_backup_work_failed(work, result, &err);
			continue;
		}
		/* With a hole behind it, it is what it is; the hole is told. */
		result = reach_further(work, last, &further, &err);
		tell_reach(work, last, &reach, &further);
		if (result != 0)
			status = pd_backup_work_failed(work, result, &err);
	}
	result = tell_actors(work, &others);
	if (result != PD_EXIT_OK)
		status = result;
	if (catalog.count + others == 0 && status == PD_EXIT_OK && !work->given.json)
		pd_output_text(&work->output, "no backups yet\n");
	pd_catalog_done(&catalog);
	return status;
}

int pd_backup_points_run(int argc, char **argv)
{
	struct pd_backup_work work;
	const char *operand;
	int status;

	if (!pd_backup_work_begin(&work, &points_options, argc, argv, &operand, &status))
		return status;
	if (operand != NULL)
		status = pd_options_wrong(&points_options, "unexpected word \"%s\"", operand);
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = points(&work);
	return pd_backup_work_end(&work, status);
}
