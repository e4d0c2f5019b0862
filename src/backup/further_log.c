/* What can be read of the log of a server that is dead. Nothing of it changes: segments are copied. */
#include <inttypes.h>
#include <string.h>

#include "backup/further.h"
#include "base/hash.h"
#include "base/memory.h"
#include "engine/manifest.h"
#include "log/look.h"
#include "log/raw.h"
#include "log/verify.h"

#define PIECE_BYTES   ((size_t)1024 * 1024)
#define ENDING_NS     UINT64_C(5000000000)
#define LOOK_AGAIN_US 20000u

struct dead {
	struct pd_further further;
	struct pd_os *os;
	struct pd_log_options options;
	char *directory; /* of the log */
	struct pd_os_lock *lock;
	struct pd_log_raw *raw;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the log of a dead server");
}

/* ---- whose it is ---- */

/* Nobody serves it. On a disk that cannot be written to nobody could. Who was killed has its lock until the kernel is through with it:
 * that is waited for. */
static int take_lock(struct dead *dead, const char *data_directory, struct pd_error *err)
{
	char *path = pd_asprintf("%s/LOCK", data_directory);
	uint64_t until_ns = pd_os_monotonic_ns(dead->os) + ENDING_NS;
	struct pd_os_file_info info;
	struct pd_error why = { 0 };
	int result = 0;

	if (path == NULL)
		return no_memory(err);
	if (pd_os_info(dead->os, path, &info, NULL) == 0)
		result = pd_os_lock(dead->os, path, &dead->lock, &why);
	while (result == PD_BUSY && pd_os_monotonic_ns(dead->os) < until_ns) {
		pd_os_sleep_us(dead->os, LOOK_AGAIN_US);
		result = pd_os_lock(dead->os, path, &dead->lock, &why);
	}
	pd_free(path);
	if (result == PD_BUSY)
		return pd_error_set(err, PD_BUSY,
				    "a server has %s: it is not dead. Stop it, or back it up as it is",
				    data_directory);
	return result == PD_NO_MEMORY ? no_memory(err) : 0;
}

static int check_cluster(struct dead *dead, const char *data_directory, struct pd_error *err)
{
	struct pd_manifest manifest = { .shards = 1 };
	struct pd_error why = { 0 };
	uint32_t shard = dead->options.shard;
	int result = pd_manifest_read(dead->os, data_directory, &manifest, &why);

	/* A damaged one is no reason to give up: heads of segments say the same. */
	if (result == PD_CORRUPT || result == PD_NOT_FOUND || result == PD_IO)
		result = pd_log_file_identify(dead->os, dead->directory, manifest.cluster_id, &shard, &why);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result, "there is no log in %s: it is no data directory",
				    data_directory);
	if (result != 0)
		return pd_error_set(err, result, "%s", why.text);
	if (shard != dead->options.shard ||
	    memcmp(manifest.cluster_id, dead->options.cluster_id, PD_CLUSTER_ID_SIZE) != 0)
		return pd_error_set(err, PD_CONFLICT,
				    "%s is of another cluster than the one that was backed up: give its own "
				    "directory",
				    data_directory);
	dead->further.newest_epoch = manifest.epoch;
	return 0;
}

/* ---- what there is ---- */

static void note_missing(struct dead *dead, const char *text)
{
	if (dead->further.missing.code == 0)
		(void)!pd_error_set(&dead->further.missing, PD_CORRUPT, "%s", text);
}

/* How it ends: what is behind damage counts as having been there. */
static int find_end(struct dead *dead, const struct pd_further_segment *last, struct pd_error *err)
{
	struct pd_further *further = &dead->further;
	struct pd_error why = { 0 };
	struct pd_log_end end = { 0 };
	struct pd_log_look *look = NULL;
	int result = pd_log_look_new(&dead->options, &look, &why);

	if (result == 0)
		result = pd_log_look_end(look, &end, &why);
	pd_log_look_free(look);
	if (result == PD_NO_MEMORY)
		return no_memory(err);
	if (result != 0)
		note_missing(dead, why.text);
	else if (end.last_lsn > further->newest_lsn)
		further->newest_lsn = end.last_lsn;
	if (further->newest_epoch > last->epoch) {
		(void)!pd_error_set(&why, PD_CORRUPT,
				    "%s ends in epoch %" PRIu64 ", and its directory has seen epoch %" PRIu64
				    ": its newest segments are missing",
				    further->name, last->epoch, further->newest_epoch);
		note_missing(dead, why.text);
	}
	return 0;
}

static uint64_t before(uint64_t lsn)
{
	return lsn > 0 ? lsn - 1 : 0;
}

/* Of all but the last the next one's head says where it ends; that is read as far as it is whole. */
static int describe(struct dead *dead, size_t n, size_t count, struct pd_further_segment *ret_found,
		    struct pd_error *err)
{
	struct pd_log_raw_segment segment, next;
	struct pd_log_stretch stretch;
	struct pd_error why = { 0 };
	int result;

	pd_log_raw_segment(dead->raw, n, &segment);
	*ret_found = (struct pd_further_segment){ .number = segment.number,
						  .epoch = segment.epoch,
						  .first_lsn = segment.first_lsn,
						  .last_lsn = before(segment.first_lsn),
						  .first_time_us = segment.time_us,
						  .last_time_us = segment.time_us,
						  .bytes = segment.bytes,
						  .first = n };
	if (n + 1 < count) {
		pd_log_raw_segment(dead->raw, n + 1, &next);
		ret_found->last_lsn = before(next.first_lsn);
		ret_found->last_time_us = next.time_us;
		return 0;
	}
	result = pd_log_raw_whole(dead->raw, n, &stretch, &why);
	if (result == 0) {
		ret_found->last_lsn = stretch.last_lsn;
		ret_found->last_time_us = stretch.last_time_us;
		ret_found->bytes = stretch.end;
	} else if (result == PD_NO_MEMORY) {
		return no_memory(err);
	} else if (result != PD_END) {
		note_missing(dead, why.text);
	}
	return 0;
}

static int list(struct dead *dead, struct pd_error *err)
{
	size_t count;
	int result = pd_log_raw_new(&dead->options, &dead->raw, err);
	uint64_t seen_epoch = dead->further.newest_epoch;

	if (result != 0)
		return result;
	count = pd_log_raw_count(dead->raw);
	if (count == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is nothing in %s that could be read",
				    dead->further.name);
	for (size_t n = 0; result == 0 && n < count; n++) {
		struct pd_further_segment found;

		result = describe(dead, n, count, &found, err);
		if (result == 0)
			result = pd_further_add(&dead->further, &found, err);
	}
	if (result != 0)
		return result;
	dead->further.newest_epoch = seen_epoch;
	result = find_end(dead, &dead->further.segments[count - 1], err);
	pd_further_sort(&dead->further);
	return result;
}

/* ---- a segment ---- */

/* What is wrong with reading it is a verdict about it. */
static int unreadable(const struct dead *dead, const struct pd_further_segment *segment,
		      const struct pd_error *why, struct pd_error *err)
{
	if (why->code == PD_NO_MEMORY)
		return pd_error_set(err, PD_NO_MEMORY, "%s", why->text);
	return pd_error_set(
		err, PD_CORRUPT,
		"segment %010" PRIu32 " (LSN %" PRIu64 " to %" PRIu64 ") cannot be read in %s: %.200s",
		segment->number, segment->first_lsn, segment->last_lsn, dead->further.name, why->text);
}

struct copying {
	const struct dead *dead;
	const struct pd_further_segment *segment;
	struct pd_log_stretch stretch;
	struct pd_os_file *file;
	struct pd_hasher *hasher;
	uint8_t *piece;
	bool (*go_on)(void *context, uint64_t bytes);
	void *context;
};

static int copy_bytes(struct copying *copying, struct pd_error *err)
{
	struct pd_log_raw_reader reader = { 0 };
	struct pd_hash128 hash;
	struct pd_error why = { 0 };
	uint64_t at = 0;
	size_t size = 0;
	int result = pd_log_raw_open(copying->dead->raw, &copying->stretch, &reader, &why);

	if (result != 0)
		return unreadable(copying->dead, copying->segment, &why, err);
	pd_hasher_reset(copying->hasher);
	do {
		if (pd_log_raw_read(&reader, copying->piece, PIECE_BYTES, &size, &why) != 0) {
			result = unreadable(copying->dead, copying->segment, &why, err);
		} else if (size > 0) {
			pd_hasher_add(copying->hasher, copying->piece, size);
			result = pd_os_write(copying->file, copying->piece, size, at, err);
			at += size;
		}
		if (result == 0 && copying->go_on != NULL && !copying->go_on(copying->context, at))
			result = pd_error_set(err, PD_CANCELLED, "told to end while copying a log");
	} while (result == 0 && size > 0);
	pd_log_raw_close(&reader);
	if (result != 0)
		return result;
	hash = pd_hasher_sum(copying->hasher);
	if (at == copying->stretch.end && hash.low == copying->stretch.hash.low &&
	    hash.high == copying->stretch.hash.high)
		return 0;
	(void)!pd_error_set(&why, PD_CORRUPT, "it says something else each time that it is read");
	return unreadable(copying->dead, copying->segment, &why, err);
}

static int copy(struct copying *copying, const char *path, struct pd_error *err)
{
	const struct pd_log_options *options = &copying->dead->options;
	int result = pd_os_open(copying->dead->os, path,
				PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE, &copying->file,
				err);

	if (result != 0)
		return result;
	result = copy_bytes(copying, err);
	if (result == 0)
		result = pd_log_raw_finish(copying->file, copying->stretch.end, options->cluster_id,
					   options->shard, copying->stretch.segment, err);
	if (result == 0)
		result = pd_os_datasync(copying->file, err);
	pd_os_close(copying->file);
	return result;
}

static int fetch(struct pd_further *further, size_t n, const char *path,
		 bool (*go_on)(void *context, uint64_t bytes), void *context, struct pd_error *err)
{
	struct dead *dead = (struct dead *)further;
	struct copying copying = {
		.dead = dead, .segment = &further->segments[n], .go_on = go_on, .context = context
	};
	struct pd_error why = { 0 };
	int result = pd_log_raw_whole(dead->raw, copying.segment->first, &copying.stretch, &why);

	if (result == PD_END)
		(void)!pd_error_set(&why, PD_CORRUPT, "its first group is not whole");
	if (result != 0)
		return unreadable(dead, copying.segment, &why, err);
	copying.hasher = pd_hasher_new();
	copying.piece = pd_malloc(PIECE_BYTES);
	result = copying.hasher == NULL || copying.piece == NULL ? no_memory(err) : copy(&copying, path, err);
	pd_hasher_free(copying.hasher);
	pd_free(copying.piece);
	return result;
}

static void dead_free(struct pd_further *further)
{
	struct dead *dead = (struct dead *)further;

	pd_log_raw_free(dead->raw);
	pd_os_unlock(dead->lock);
	pd_free(dead->directory);
	pd_free(dead);
}

static const struct pd_further_ops ops = { .kind = "log", .fetch = fetch, .free = dead_free };

int pd_further_log_new(struct pd_os *os, const char *data_directory,
		       const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
		       struct pd_further **ret_further, struct pd_error *err)
{
	struct dead *dead = pd_calloc(1, sizeof *dead);
	int result = 0;

	if (dead == NULL)
		return no_memory(err);
	dead->further.ops = &ops;
	dead->further.is_last = true;
	dead->os = os;
	dead->directory = pd_manifest_log_directory(data_directory, shard);
	dead->further.name = pd_asprintf("the log of %s", data_directory);
	dead->options = (struct pd_log_options){ .os = os, .directory = dead->directory, .shard = shard };
	memcpy(dead->options.cluster_id, cluster_id, sizeof dead->options.cluster_id);
	if (dead->directory == NULL || dead->further.name == NULL)
		result = no_memory(err);
	if (result == 0)
		result = check_cluster(dead, data_directory, err);
	if (result == 0)
		result = take_lock(dead, data_directory, err);
	if (result == 0)
		result = list(dead, err);
	if (result == 0)
		*ret_further = &dead->further;
	else
		pd_further_free(&dead->further);
	return result;
}
