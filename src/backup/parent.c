/* Epoch and LSN do not tell one history from another: a directory that was put back as it was begins the same epoch once more. The head of a segment does,
 * with its time and what it is chained to; so that of the segment with the backup's last record is compared, byte by byte. */
#include "backup/parent.h"

#include <string.h>

#include "backup/piece.h"
#include "base/memory.h"
#include "base/plant.h"

#define HEAD_SIZE 512u /* a segment's first sector, which has its head */

struct search {
	struct pd_repository *repository;
	const struct pd_catalog *catalog;
	const struct pd_backup_source *source;
	const struct pd_log_look *look;
	bool only_full;
	bool *others; /* by the catalog's items: of another history */
};

/* Does this log have a record of that LSN and epoch? */
static bool has_moment(const struct search *search, const struct pd_backup_manifest *manifest)
{
	struct pd_log_look_segment segment;

	if (manifest->shard != search->source->shard || manifest->end.lsn > search->source->end.lsn ||
	    pd_log_look_count(search->look) == 0 || manifest->end.lsn < pd_log_look_first_lsn(search->look))
		return false;
	pd_log_look_segment(search->look, pd_log_look_find(search->look, manifest->end.lsn), &segment);
	return segment.epoch == manifest->end.epoch || pd_plant(PD_PLANT_BACKUP_JOINS_BY_LSN);
}

/* The segment in which its last record ends; NULL: it has none. */
static const struct pd_backup_file *last_segment(const struct pd_backup_manifest *manifest)
{
	for (size_t i = manifest->file_count; i-- > 0;)
		if (manifest->files[i].part == PD_BACKUP_LOG_FILE)
			return &manifest->files[i];
	return NULL;
}

/* *ret_size: less than HEAD_SIZE where there is no such segment by now. */
static int read_head(const struct search *search, const char *name, uint8_t head[HEAD_SIZE], size_t *ret_size,
		     struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", search->source->data_directory, name);
	struct pd_os_file *file = NULL;
	int result = path == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup")
				  : pd_os_open(search->source->os, path, PD_OS_READ, &file, err);

	*ret_size = 0;
	if (result == 0)
		result = pd_os_read(file, head, HEAD_SIZE, 0, ret_size, err);
	pd_os_close(file);
	pd_free(path);
	return result == PD_NOT_FOUND ? 0 : result;
}

/* Has it the very record that this log has there? What cannot be read any more is nothing to go on from. */
static int is_of_this(const struct search *search, const struct pd_backup_manifest *manifest, bool *ret_is,
		      struct pd_error *err)
{
	const struct pd_backup_file *file = last_segment(manifest);
	uint8_t head[HEAD_SIZE];
	struct pd_slice content;
	struct pd_error why;
	size_t size;
	int result;

	*ret_is = pd_plant(PD_PLANT_BACKUP_JOINS_BY_LSN);
	if (*ret_is || file == NULL || file->piece_count == 0)
		return 0;
	result = read_head(search, file->name, head, &size, err);
	if (result != 0 || size < HEAD_SIZE)
		return result;
	result = pd_piece_get(search->repository, &manifest->pieces[file->first_piece],
			      pd_backup_piece_size(file, 0), &content, &why);
	if (result != 0)
		return result == PD_CORRUPT ? 0 : pd_error_set(err, result, "%s", why.text);
	*ret_is = content.size >= HEAD_SIZE && memcmp(content.data, head, HEAD_SIZE) == 0;
	return 0;
}

/* Of those that are not of another history; the catalog's count: none. */
static size_t newest(const struct search *search)
{
	const struct pd_catalog *catalog = search->catalog;
	size_t best = catalog->count;

	for (size_t i = 0; i < catalog->count; i++) {
		const struct pd_backup_manifest *manifest = &catalog->items[i];
		struct pd_backup_reach reach;

		if (!search->others[i] && (!search->only_full || manifest->kind == PD_BACKUP_FULL) &&
		    (best == catalog->count || manifest->end.lsn >= catalog->items[best].end.lsn) &&
		    has_moment(search, manifest) && pd_catalog_reach(catalog, manifest, &reach, NULL) == 0)
			best = i;
	}
	return best;
}

static int find(struct search *search, const struct pd_backup_manifest **ret_found, struct pd_error *err)
{
	const struct pd_catalog *catalog = search->catalog;
	size_t best;
	int result = 0;

	*ret_found = NULL;
	search->others = pd_calloc(catalog->count + 1, sizeof *search->others);
	if (search->others == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
	while (result == 0 && *ret_found == NULL && (best = newest(search)) < catalog->count) {
		bool is = false;

		result = is_of_this(search, &catalog->items[best], &is, err);
		search->others[best] = true;
		if (result == 0 && is)
			*ret_found = &catalog->items[best];
	}
	pd_free(search->others);
	return result;
}

/* The full one is known by those that lead to the newest. Have they expired, this log tells, if it is as old. */
static int find_full(struct search *search, struct pd_backup_lineage *lineage, struct pd_error *err)
{
	int result;

	lineage->parent = pd_catalog_full_before(search->catalog, lineage->newest);
	if (lineage->parent != NULL)
		return 0;
	search->only_full = true;
	result = find(search, &lineage->parent, err);
	if (lineage->parent != NULL)
		lineage->newest = lineage->parent;
	return result;
}

int pd_backup_find_lineage(struct pd_repository *repository, const struct pd_catalog *catalog,
			   const struct pd_backup_source *source, const struct pd_log_look *look,
			   enum pd_backup_kind kind, struct pd_backup_lineage *ret_lineage,
			   struct pd_error *err)
{
	struct search search = {
		.repository = repository, .catalog = catalog, .source = source, .look = look
	};
	struct pd_backup_lineage lineage = { 0 };
	int result = 0;

	if (kind != PD_BACKUP_FULL)
		result = find(&search, &lineage.newest, err);
	lineage.parent = lineage.newest;
	if (result == 0 && lineage.newest != NULL && kind == PD_BACKUP_DIFFERENTIAL)
		result = find_full(&search, &lineage, err);
	if (result == 0 && lineage.newest != NULL)
		lineage.state = pd_catalog_state_before(catalog, lineage.newest);
	*ret_lineage = lineage;
	return result;
}
