#include "backup/make.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "backup/make_private.h"
#include "base/memory.h"
#include "base/plant.h"
#include "base/timestamp.h"
#include "engine/manifest.h"
#include "log/copy.h"

#define IDS_TRIED    26u /* of one second */
#define HASH_LOOK_US 2000u
#define SEGMENT_MAX  ((size_t)1024 * 1024 * 1024)

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
}

/* Whoever follows it is told, and the repository stays ours. */
int pd_make_step(void *context, struct pd_error *err)
{
	struct pd_making *making = context;
	const struct pd_backup_watch *watch = &making->order->watch;
	int result = pd_backup_step(watch, making->done_bytes, making->total_bytes, err);

	if (result == 0 && watch->pace != NULL)
		watch->pace(watch->context, &making->resumed_ns);
	return result == 0 ? pd_backup_lease_keep(&making->lease, err) : result;
}

/* ---- pieces ---- */

/* One is there, or was looked for. Files and pieces are where they were when it was sent, whatever came behind them. */
static int take_carried(void *context, const struct pd_carried *carried, struct pd_error *err)
{
	struct pd_making *making = context;
	struct pd_backup_file *file;

	(void)err;
	if (carried->what == PD_CARRY_LOOK) {
		making->kept[carried->file].stored += carried->stored.bytes;
		making->kept[carried->file].is_missing |= carried->is_bad;
		return 0;
	}
	file = &making->manifest.files[carried->file];
	making->manifest.pieces[file->first_piece + carried->number] = carried->piece;
	file->stored += carried->stored.bytes;
	making->manifest.sent += carried->stored.sent;
	if (making->manifest.kind != PD_BACKUP_ACTORS) /* which counts what it reads */
		making->done_bytes += carried->size;
	return 0;
}

/* One more of the file that was added last: its name is known when it was sent. */
static int add_piece(struct pd_making *making, size_t *ret_file, size_t *ret_number, struct pd_error *err)
{
	static const struct pd_piece unknown = { { 0 } };
	struct pd_backup_manifest *manifest = &making->manifest;
	int result = pd_make_step(making, err);

	if (result == 0 && pd_backup_add_piece(manifest, &unknown) != 0)
		result = no_memory(err);
	*ret_file = manifest->file_count - 1;
	*ret_number = result == 0 ? manifest->files[*ret_file].piece_count - 1 : 0;
	return result;
}

int pd_make_send(struct pd_making *making, struct pd_slice content, struct pd_error *err)
{
	size_t file, number;
	int result = add_piece(making, &file, &number, err);

	return result == 0 ? pd_carrier_put(making->carrier, content, file, number, err) : result;
}

/* What was read into the carrier's room. */
static int send_room(struct pd_making *making, struct pd_error *err)
{
	size_t file, number;
	int result = add_piece(making, &file, &number, err);

	return result == 0 ? pd_carrier_put_room(making->carrier, file, number, err) : result;
}

static int send_bytes(struct pd_making *making, struct pd_slice bytes, struct pd_error *err)
{
	int result = 0;

	for (size_t at = 0; at < bytes.size && result == 0; at += PD_PIECE_SIZE) {
		size_t size = bytes.size - at < PD_PIECE_SIZE ? bytes.size - at : PD_PIECE_SIZE;

		result = pd_make_send(making, pd_slice(bytes.data + at, size), err);
	}
	return result;
}

/* ---- the checkpoint ---- */

static char *path_in(const struct pd_making *making, const char *name)
{
	return pd_asprintf("%s/%s", making->source->data_directory, name);
}

/* What is read of it goes into pieces and, with a hasher, into that. */
static int send_file(struct pd_making *making, struct pd_backup_file *file, struct pd_hasher *hasher,
		     struct pd_error *err)
{
	char *path = path_in(making, file->name);
	struct pd_os_file *handle = NULL;
	uint64_t sent = 0;
	size_t index = (size_t)(file - making->manifest.files);
	int result = path == NULL ? no_memory(err)
				  : pd_os_open(making->source->os, path, PD_OS_READ, &handle, err);

	for (bool more = true; result == 0 && more;) {
		struct pd_buffer *piece;

		result = pd_carrier_room(making->carrier, &piece, err);
		if (result == 0)
			result = pd_os_read(handle, piece->data, PD_PIECE_SIZE, sent, &piece->size, err);
		if (result != 0 || piece->size == 0)
			break;
		more = piece->size == PD_PIECE_SIZE;
		if (hasher != NULL)
			pd_hasher_add(hasher, piece->data, piece->size);
		sent += piece->size;
		/* While this one is on its way. */
		if (more)
			pd_os_hint(handle, PD_OS_HINT_READ_SOON, sent, PD_PIECE_SIZE);
		result = send_room(making, err);
	}
	if (result == 0)
		making->manifest.files[index].size = sent;
	pd_os_close(handle);
	pd_free(path);
	return result;
}

static int add_checkpoint_file(struct pd_making *making, const char *name, struct pd_backup_file **ret_file,
			       struct pd_error *err)
{
	char *full = pd_asprintf("store/%04u/checkpoint-%020" PRIu64 "/%s", making->source->shard,
				 making->source->checkpoint->position.lsn, name);
	int result = full == NULL ? no_memory(err) : 0;

	if (result == 0 && !pd_backup_name_fits(PD_BACKUP_FILE, pd_slice_string(full)))
		result = pd_error_set(err, PD_NOT_SUPPORTED, "%s/%s cannot be part of a backup",
				      making->source->data_directory, full);
	if (result == 0 &&
	    pd_backup_add_file(&making->manifest, PD_BACKUP_FILE, pd_slice_string(full), ret_file) != 0)
		result = no_memory(err);
	pd_free(full);
	return result;
}

/* "levels/000012.sst" of "store/0000/checkpoint-…/levels/000012.sst". */
static const char *level_name(const struct pd_backup_file *file)
{
	const char *levels = file->part == PD_BACKUP_FILE ? strstr(file->name, "/levels/") : NULL;

	return levels != NULL ? levels + sizeof "/levels/" - 1 : "";
}

/* The file of this name, size and hash that the state before has. Files are in the order of their names, but for those of the log behind them. */
static const struct pd_backup_file *file_before(const struct pd_making *making,
						const struct pd_checkpoint_file *known, const char *hash)
{
	const struct pd_backup_manifest *before = making->lineage.state;

	for (size_t low = 0, high = before == NULL ? 0 : before->file_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		const struct pd_backup_file *file = &before->files[middle];
		int order = file->part != PD_BACKUP_FILE ? 1 : strcmp(level_name(file), known->name);

		if (order == 0)
			return file->size == known->size && strcmp(file->hash, hash) == 0 ? file : NULL;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* What an earlier backup has may be gone by now: each piece of it is looked for. The nth file is of `from`, or NULL. */
static int look_for(struct pd_making *making, size_t n, const struct pd_backup_manifest *from,
		    const struct pd_backup_file *file, struct pd_error *err)
{
	int result = 0;

	making->kept[n].file = file;
	for (size_t i = 0; file != NULL && i < file->piece_count && result == 0; i++) {
		result = pd_make_step(making, err);
		if (result == 0)
			result = pd_carrier_ask(making->carrier, PD_CARRY_LOOK,
						&from->pieces[file->first_piece + i],
						pd_backup_piece_size(file, i), n, i, err);
	}
	return result;
}

static int begin_looking(struct pd_making *making, size_t count, struct pd_error *err)
{
	pd_free(making->kept);
	making->kept = pd_calloc(count + 1, sizeof *making->kept);
	return making->kept != NULL ? 0 : no_memory(err);
}

static int look_for_kept(struct pd_making *making, struct pd_error *err)
{
	const struct pd_checkpoint *checkpoint = making->source->checkpoint;
	int result = begin_looking(making, checkpoint->file_count, err);

	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++) {
		char hash[33];

		pd_hash128_format(checkpoint->files[i].hash, hash);
		result = look_for(making, i, making->lineage.state,
				  file_before(making, &checkpoint->files[i], hash), err);
	}
	return result == 0 ? pd_carrier_wait(making->carrier, err) : result;
}

/* It was sent with an earlier backup, and is there. */
static int adopt(struct pd_making *making, const struct pd_backup_manifest *from, const struct kept *kept,
		 struct pd_error *err)
{
	size_t index = making->manifest.file_count - 1;

	for (size_t i = 0; i < kept->file->piece_count; i++)
		if (pd_backup_add_piece(&making->manifest, &from->pieces[kept->file->first_piece + i]) != 0)
			return no_memory(err);
	making->manifest.files[index].size = kept->file->size;
	making->manifest.files[index].stored = kept->stored;
	making->done_bytes += kept->file->size;
	return pd_make_step(making, err);
}

/* A file of the levels, which must be what the checkpoint says. */
static int send_level_file(struct pd_making *making, size_t number, struct pd_hasher *hasher,
			   struct pd_error *err)
{
	const struct pd_checkpoint_file *known = &making->source->checkpoint->files[number];
	const struct kept *kept = &making->kept[number];
	struct pd_backup_file *file;
	char name[300], hash[33];
	int result;

	(void)snprintf(name, sizeof name, "levels/%.255s", known->name);
	pd_hash128_format(known->hash, hash);
	result = add_checkpoint_file(making, name, &file, err);
	if (result != 0)
		return result;
	memcpy(file->hash, hash, sizeof hash);
	if (kept->file != NULL && !kept->is_missing)
		return adopt(making, making->lineage.state, kept, err);
	pd_hasher_reset(hasher);
	result = send_file(making, file, hasher, err);
	if (result != 0)
		return result;
	file = &making->manifest.files[making->manifest.file_count - 1];
	pd_hash128_format(pd_hasher_sum(hasher), hash);
	if (file->size != known->size ||
	    (strcmp(hash, file->hash) != 0 && !pd_plant(PD_PLANT_BACKUP_HASH_UNCHECKED)))
		return pd_error_set(
			err, PD_CORRUPT,
			"%s/%s is damaged: it is not what was written. See 'perdure store verify'; "
			"a checkpoint that is made anew can be backed up",
			making->source->data_directory, file->name);
	return 0;
}

static int send_checkpoint(struct pd_making *making, struct pd_error *err)
{
	const struct pd_checkpoint *checkpoint = making->source->checkpoint;
	struct pd_backup_file *file;
	struct pd_hasher *hasher;
	int result;

	if (checkpoint == NULL || making->manifest.kind == PD_BACKUP_LOG)
		return 0;
	hasher = pd_hasher_new();
	if (hasher == NULL)
		return no_memory(err);
	result = look_for_kept(making, err);
	if (result == 0)
		result = add_checkpoint_file(making, "CHECKPOINT", &file, err);
	if (result == 0)
		result = send_file(making, file, NULL, err);
	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++)
		result = send_level_file(making, i, hasher, err);
	pd_hasher_free(hasher);
	return result;
}

/* ---- the log ---- */

static void name_segment(const struct pd_making *making, uint32_t number, char name[64])
{
	(void)snprintf(name, 64, "log/%04u/%010u.seg", making->source->shard, number);
}

static int send_segment(struct pd_making *making, struct pd_log_look *look, size_t number, uint64_t *ret_last,
			struct pd_error *err)
{
	struct pd_log_look_segment segment;
	struct pd_backup_file *file;
	struct pd_log_copy copy;
	char name[64];
	int result;

	pd_log_look_segment(look, number, &segment);
	pd_buffer_clear(&making->segment);
	result = pd_log_copy_segment(look, number, making->source->end.lsn, &making->segment, &copy, err);
	if (result != 0)
		return result;
	name_segment(making, segment.number, name);
	if (pd_backup_add_file(&making->manifest, PD_BACKUP_LOG_FILE, pd_slice_string(name), &file) != 0)
		return no_memory(err);
	file->size = making->segment.size;
	file->epoch = copy.epoch;
	file->first_lsn = copy.first_lsn;
	file->last_lsn = copy.last_lsn;
	file->sealed = copy.sealed;
	*ret_last = copy.last_lsn;
	return send_bytes(making, pd_buffer_slice(&making->segment), err);
}

static int open_look(const struct pd_making *making, struct pd_log_look **ret_look, struct pd_error *err)
{
	const struct pd_backup_source *source = making->source;
	struct pd_log_options options = { .os = source->os, .shard = source->shard };
	char *directory = pd_manifest_log_directory(source->data_directory, source->shard);
	int result;

	if (directory == NULL)
		return no_memory(err);
	options.directory = directory;
	memcpy(options.cluster_id, source->cluster_id, sizeof options.cluster_id);
	result = pd_log_look_new(&options, ret_look, err);
	pd_free(directory);
	return result;
}

/* Does this directory lack log since the parent, which others since then have? */
static bool lacks_log(const struct pd_making *making)
{
	const struct pd_backup_lineage *lineage = &making->lineage;

	return lineage->parent != lineage->newest &&
	       (pd_log_look_count(making->look) == 0 ||
		pd_log_look_first_lsn(making->look) > lineage->parent->end.lsn);
}

/* From the record that the checkpoint ends with, by which state and log are joined, and from where those before it end. */
static uint64_t first_lsn(const struct pd_making *making)
{
	const struct pd_backup_lineage *lineage = &making->lineage;
	const struct pd_backup_manifest *before = lacks_log(making) ? lineage->newest : lineage->parent;
	uint64_t base = making->manifest.base.lsn > 0 ? making->manifest.base.lsn : 1;

	if (making->manifest.kind == PD_BACKUP_LOG)
		return before->end.lsn;
	return before != NULL && before->end.lsn < base ? before->end.lsn : base;
}

static int adopt_segment(struct pd_making *making, size_t n, struct pd_error *err)
{
	const struct pd_backup_file *known = &making->earlier.files[n];
	struct pd_backup_file *file;

	if (making->kept[n].is_missing)
		return pd_error_set(err, PD_CORRUPT,
				    "a piece of %s, which backups since %s have and %s lacks by now, is "
				    "missing or damaged: make a full backup",
				    known->name, making->lineage.parent->id, making->source->data_directory);
	if (pd_backup_add_file(&making->manifest, PD_BACKUP_LOG_FILE, pd_slice_string(known->name), &file) !=
	    0)
		return no_memory(err);
	file->epoch = known->epoch;
	file->first_lsn = known->first_lsn;
	file->last_lsn = known->last_lsn;
	file->sealed = known->sealed;
	return adopt(making, &making->earlier, &making->kept[n], err);
}

/* What is before the segment called `first`, which is sent as it is here. */
static int send_earlier_log(struct pd_making *making, const char *first, struct pd_error *err)
{
	const struct pd_backup_manifest *earlier = &making->earlier;
	size_t count = 0;
	int result;

	if (!lacks_log(making))
		return 0;
	result = pd_catalog_log(&making->catalog, making->lineage.parent, making->lineage.newest,
				&making->earlier, err);
	if (result == 0)
		result = begin_looking(making, earlier->file_count, err);
	for (; result == 0 && count < earlier->file_count && strcmp(earlier->files[count].name, first) < 0;
	     count++)
		result = look_for(making, count, earlier, &earlier->files[count], err);
	if (result == 0)
		result = pd_carrier_wait(making->carrier, err);
	for (size_t i = 0; i < count && result == 0; i++)
		result = adopt_segment(making, i, err);
	return result;
}

/* What is from here goes on where what was taken over ends. */
static int check_log(const struct pd_making *making, struct pd_error *err)
{
	const struct pd_backup_file *last = NULL;

	for (size_t i = 0; i < making->manifest.file_count; i++) {
		const struct pd_backup_file *file = &making->manifest.files[i];

		if (file->part != PD_BACKUP_LOG_FILE)
			continue;
		if (last != NULL && file->first_lsn != last->last_lsn + 1)
			return pd_error_set(err, PD_CORRUPT,
					    "the log between LSN %" PRIu64 " and LSN %" PRIu64
					    " is neither in %s nor in the backups: make a full one",
					    last->last_lsn, file->first_lsn, making->source->data_directory);
		last = file;
	}
	return 0;
}

static int send_log(struct pd_making *making, struct pd_error *err)
{
	uint64_t from = first_lsn(making), last = 0, end = making->source->end.lsn;
	const struct pd_log_look *look = making->look;
	struct pd_log_look_segment first;
	char name[64];
	int result = 0;

	if (pd_log_look_count(look) == 0 || pd_log_look_first_lsn(look) > from)
		return pd_error_set(err, PD_CORRUPT,
				    "the log in %s/log begins with LSN %" PRIu64
				    ", and a backup of it needs LSN %" PRIu64,
				    making->source->data_directory, pd_log_look_first_lsn(look), from);
	pd_log_look_segment(look, pd_log_copy_first(look, from), &first);
	name_segment(making, first.number, name);
	result = send_earlier_log(making, name, err);
	for (size_t i = pd_log_copy_first(look, from);
	     result == 0 && last < end && i < pd_log_look_count(look); i++)
		result = send_segment(making, making->look, i, &last, err);
	if (result == 0 && last != end)
		result = pd_error_set(err, PD_CORRUPT,
				      "the log in %s/log has LSN %" PRIu64
				      " where it was to be cut behind LSN %" PRIu64
				      ": look at it with 'perdure log verify'",
				      making->source->data_directory, last, end);
	return result == 0 ? check_log(making, err) : result;
}

/* ---- the parent ---- */

static int find_parent(struct pd_making *making, struct pd_error *err)
{
	const struct pd_catalog_watch watch = { pd_make_step, making };
	const struct pd_backup_manifest *parent;
	bool differential = making->order->kind == PD_BACKUP_DIFFERENTIAL;
	int result;

	if (making->order->kind == PD_BACKUP_FULL)
		return 0;
	result = pd_catalog_load(making->repository, &watch, &making->catalog, err);
	if (result == 0)
		result = pd_backup_find_lineage(making->repository, &making->catalog, making->source,
						making->look, making->order->kind, &making->lineage, err);
	if (result != 0)
		return result;
	parent = making->lineage.parent;
	making->lacks_full = parent == NULL;
	if (parent == NULL)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"no %sbackup in %s is of a moment from which the log of %s still goes on: make a "
			"full one",
			differential ? "full " : "", pd_repository_address(making->repository),
			making->source->data_directory);
	if (parent->end.lsn == making->source->end.lsn && making->order->kind == PD_BACKUP_LOG)
		return pd_error_set(err, PD_END, "nothing was written since backup %s", parent->id);
	memcpy(making->manifest.parent, parent->id, sizeof making->manifest.parent);
	return 0;
}

/* ---- the census ---- */

static int take_lines(void *context, struct pd_slice lines, struct pd_error *err)
{
	struct pd_making *making = context;
	struct pd_backup_file *file = &making->manifest.files[making->manifest.file_count - 1];
	int result = 0;

	file->size += lines.size;
	while (lines.size > 0 && result == 0) {
		size_t room = PD_PIECE_SIZE - making->piece.size;
		size_t size = lines.size < room ? lines.size : room;

		if (pd_buffer_append(&making->piece, lines.data, size) != 0)
			return no_memory(err);
		lines = pd_slice(lines.data + size, lines.size - size);
		if (making->piece.size == PD_PIECE_SIZE) {
			result = pd_make_send(making, pd_buffer_slice(&making->piece), err);
			pd_buffer_clear(&making->piece);
		}
	}
	return result;
}

static bool has_census(const struct pd_making *making)
{
	return !making->order->without_state && making->manifest.kind != PD_BACKUP_LOG;
}

static int send_index(struct pd_making *making, struct pd_error *err)
{
	struct pd_census_options options = {
		.parts = PD_CENSUS_INDEX, .take = take_lines, .step = pd_make_step, .context = making
	};
	struct pd_backup_manifest *manifest = &making->manifest;
	struct pd_backup_file *file;
	struct pd_census census;
	int result;

	if (!has_census(making))
		return 0;
	if (pd_backup_add_file(manifest, PD_BACKUP_INDEX, pd_slice(NULL, 0), &file) != 0)
		return no_memory(err);
	pd_buffer_clear(&making->piece);
	result = making->source->census(making->source->context, &options, &census, err);
	if (result == 0 && making->piece.size > 0)
		result = pd_make_send(making, pd_buffer_slice(&making->piece), err);
	manifest->actors = census.actors;
	manifest->keys = census.keys;
	manifest->bytes = census.bytes;
	return result;
}

/* ---- the hash of the state: beside the sending ---- */

static int may_hash(void *context, struct pd_error *err)
{
	struct hashing *hashing = context;

	if (hashing->watch->pace != NULL)
		hashing->watch->pace(hashing->watch->context, &hashing->resumed_ns);
	return atomic_load(&hashing->cancelled) ? pd_error_set(err, PD_CANCELLED, "cancelled") : 0;
}

static void hash_state(void *argument)
{
	struct hashing *hashing = argument;
	struct pd_census_options options = { .parts = PD_CENSUS_HASH, .step = may_hash, .context = hashing };

	hashing->result = hashing->source->census(hashing->source->context, &options, &hashing->census,
						  &hashing->err);
}

static int begin_hash(struct pd_making *making, struct pd_error *err)
{
	struct hashing *hashing = &making->hashing;

	if (!has_census(making))
		return 0;
	hashing->source = making->source;
	hashing->watch = &making->order->watch;
	return pd_os_task_start(making->source->os, hash_state, hashing, &hashing->task, err);
}

static int take_hash(struct pd_making *making, struct pd_error *err)
{
	struct hashing *hashing = &making->hashing;
	int result = 0;

	if (hashing->task == NULL)
		return 0;
	while (result == 0 && !pd_os_task_finished(hashing->task)) {
		result = pd_make_step(making, err);
		if (result == 0)
			pd_os_sleep_us(making->source->os, HASH_LOOK_US);
	}
	if (result != 0)
		return result;
	pd_os_task_join(hashing->task);
	hashing->task = NULL;
	if (hashing->result != 0)
		return pd_error_set(err, hashing->result, "%s", hashing->err.text);
	pd_hash128_format(hashing->census.hash, making->manifest.state);
	making->manifest.has_state = true;
	return 0;
}

static void end_hash(struct pd_making *making)
{
	atomic_store(&making->hashing.cancelled, true);
	pd_os_task_join(making->hashing.task);
}

/* ---- the manifest ---- */

/* "20261121T014500Z-full"; of several in one second the later ones have a letter behind the time. */
static void give_id(struct pd_making *making, unsigned tried)
{
	char time[PD_TIMESTAMP_SIZE], letter[2] = "";
	char digits[20];
	size_t size = 0;

	pd_timestamp_format(making->manifest.ended_us, 0, time);
	for (const char *at = time; *at != '\0' && size + 1 < sizeof digits; at++)
		if (*at != '-' && *at != ':')
			digits[size++] = *at;
	digits[size] = '\0';
	if (tried > 0)
		letter[0] = (char)('a' + tried - 1);
	(void)snprintf(making->manifest.id, sizeof making->manifest.id, "%s%s-%s", digits, letter,
		       pd_backup_kind_name(making->manifest.kind));
}

/* Everything that it names is there. */
static int publish(struct pd_making *making, struct pd_error *err)
{
	int result = pd_backup_lease_prove(&making->lease, err);

	making->manifest.ended_us = pd_os_real_us(making->source->os);
	for (unsigned tried = 0; result == 0 && tried < IDS_TRIED; tried++) {
		give_id(making, tried);
		result = pd_backup_manifest_put(making->repository, &making->manifest, err);
		if (result != PD_EXISTS)
			break;
		result = tried + 1 < IDS_TRIED ? 0 : result;
	}
	if (result != 0)
		return result;
	/* Somebody who took us for dead may have removed what nobody named. */
	result = pd_backup_lease_prove(&making->lease, err);
	if (result == PD_FENCED) {
		char *name = pd_asprintf("%s%s", pd_backup_prefix(making->manifest.kind),
					 making->manifest.id);

		if (name != NULL)
			(void)!pd_object_delete(making->repository->store, name, NULL);
		pd_free(name);
	}
	return result;
}

/* Whoever loses the key loses the backups: that is said with the first of them. */
static int warn(struct pd_making *making, struct pd_error *err)
{
	const struct pd_repository *repository = making->repository;
	const struct pd_repository_place *place = &repository->place;
	bool by_file = repository->key.kind == PD_KEY_FILE;
	struct pd_object_page page;
	bool is_first;
	int result;

	if (repository->key.kind == PD_KEY_NONE)
		return 0;
	result = pd_object_list(repository->store, PD_BACKUP_PREFIX, NULL, 1, &page, err);
	is_first = result == 0 && page.count == 0;
	if (is_first) {
		pd_object_page_done(&page);
		result = pd_object_list(repository->store, PD_BACKUP_ACTORS_PREFIX, NULL, 1, &page, err);
		is_first = result == 0 && page.count == 0;
	}
	if (result != 0)
		return result;
	if (is_first)
		(void)snprintf(
			making->notice, sizeof making->notice,
			"everything in %.150s is encrypted under the %s in %.150s. Without it nobody can "
			"restore any backup there: keep a copy of it, and not beside the backups",
			place->store.address, by_file ? "key" : "passphrase",
			by_file ? place->key_file : place->passphrase_file);
	pd_object_page_done(&page);
	return 0;
}

static void begin(struct pd_making *making)
{
	const struct pd_backup_source *source = making->source;
	struct pd_backup_manifest *manifest = &making->manifest;

	manifest->kind = making->order->kind;
	memcpy(manifest->repository_id, making->repository->id, sizeof manifest->repository_id);
	memcpy(manifest->cluster_id, source->cluster_id, sizeof manifest->cluster_id);
	manifest->shard = source->shard;
	manifest->lease = making->lease.epoch;
	(void)snprintf(manifest->tool, sizeof manifest->tool, "%s", PD_VERSION);
	manifest->begun_us = pd_os_real_us(source->os);
	manifest->end = source->end;
	if (source->checkpoint == NULL || manifest->kind == PD_BACKUP_LOG ||
	    manifest->kind == PD_BACKUP_ACTORS)
		return;
	manifest->base = (struct pd_backup_moment){ source->checkpoint->position.epoch,
						    source->checkpoint->position.lsn,
						    source->checkpoint->time_us };
	making->total_bytes = source->checkpoint->bytes;
}

static void tell(const struct pd_making *making, struct pd_backup_made *ret_made)
{
	const struct pd_backup_manifest *manifest = &making->manifest;

	*ret_made = (struct pd_backup_made){ .end = manifest->end,
					     .files = manifest->file_count,
					     .bytes = pd_backup_manifest_bytes(manifest),
					     .stored_bytes = pd_backup_manifest_stored(manifest),
					     .sent_bytes = manifest->sent,
					     .actors = manifest->actors,
					     .keys = manifest->keys };
	memcpy(ret_made->notice, making->notice, sizeof ret_made->notice);
	memcpy(ret_made->id, manifest->id, sizeof ret_made->id);
	memcpy(ret_made->state, manifest->state, sizeof ret_made->state);
	memcpy(ret_made->parent, manifest->parent, sizeof ret_made->parent);
}

/* Of a whole directory. */
static int send_directory(struct pd_making *making, struct pd_error *err)
{
	int result = open_look(making, &making->look, err);

	if (result == 0)
		result = find_parent(making, err);
	if (result == 0)
		result = begin_hash(making, err);
	if (result == 0)
		result = send_checkpoint(making, err);
	if (result == 0)
		result = send_log(making, err);
	if (result == 0)
		result = take_hash(making, err);
	return result == 0 ? send_index(making, err) : result;
}

int pd_backup_make(const struct pd_backup_source *source, const struct pd_backup_order *order,
		   struct pd_backup_made *ret_made, struct pd_error *err)
{
	struct pd_making making = { .source = source, .order = order };
	struct pd_carrier_options sending = { .step = pd_make_step,
					      .take = take_carried,
					      .context = &making };
	int result = pd_repository_open_for(source->os, &order->repository, source->cluster_id,
					    &making.repository, err);

	if (result != 0)
		return result;
	pd_backup_manifest_init(&making.manifest);
	pd_backup_manifest_init(&making.earlier);
	pd_buffer_init(&making.piece, PD_PIECE_SIZE);
	pd_buffer_init(&making.segment, SEGMENT_MAX);
	if (order->kind == PD_BACKUP_ACTORS)
		making.repository->pieces = PD_PIECES_OF_ACTORS;
	sending.repository = making.repository;
	result = pd_backup_lease_take(&making.lease, making.repository, &order->watch, err);
	if (result == 0)
		result = pd_carrier_new(&sending, &making.carrier, err);
	if (result == 0)
		result = warn(&making, err);
	if (result == 0) {
		begin(&making);
		result = order->kind == PD_BACKUP_ACTORS ? pd_make_send_actors(&making, err)
							 : send_directory(&making, err);
	}
	ret_made->lacks_full = making.lacks_full;
	if (result == 0)
		result = pd_carrier_wait(making.carrier, err);
	if (result == 0)
		result = publish(&making, err);
	if (result == 0)
		tell(&making, ret_made);
	end_hash(&making);
	pd_carrier_free(making.carrier);
	pd_backup_lease_end(&making.lease);
	pd_catalog_done(&making.catalog);
	pd_log_look_free(making.look);
	pd_free(making.kept);
	pd_buffer_done(&making.piece);
	pd_buffer_done(&making.segment);
	pd_backup_manifest_done(&making.earlier);
	pd_backup_manifest_done(&making.manifest);
	pd_repository_free(making.repository);
	return result;
}
