/* Segments are fetched beside the log, compared, and then renamed into it, oldest first: so after a crash it is a log that ends somewhere in between. */
#include "archive/extend.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "engine/manifest.h"
#include "log/look.h"
#include "log/raw.h"

struct extending {
	const struct pd_archive_extend *extend;
	struct pd_manifest manifest;
	char *log_directory, *fetched_directory;
	struct pd_log_raw_segment last; /* of the log */
	struct pd_log_end end;
	struct pd_archive_fetched fetched;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while fetching from an archive");
}

static struct pd_log_options options_of(const struct extending *extending, const char *directory)
{
	struct pd_log_options options = { .os = extending->extend->os, .directory = directory };

	memcpy(options.cluster_id, extending->manifest.cluster_id, sizeof options.cluster_id);
	return options;
}

/* ---- what there is ---- */

static int find_last(struct extending *extending, struct pd_error *err)
{
	const struct pd_log_options options = options_of(extending, extending->log_directory);
	struct pd_log_raw *raw;
	int result = pd_log_raw_new(&options, &raw, err);

	if (result != 0)
		return result;
	if (pd_log_raw_count(raw) > 0)
		pd_log_raw_segment(raw, pd_log_raw_count(raw) - 1, &extending->last);
	else
		result = pd_error_set(
			err, PD_NOT_FOUND,
			"there is no log in %s that could go on: fetch into a directory of its own",
			extending->extend->data_directory);
	pd_log_raw_free(raw);
	return result;
}

static int find_end(struct extending *extending, struct pd_error *err)
{
	const struct pd_log_options options = options_of(extending, extending->log_directory);
	struct pd_log_look *look;
	int result = pd_log_look_new(&options, &look, err);

	if (result != 0)
		return result;
	result = pd_log_look_end(look, &extending->end, err);
	pd_log_look_free(look);
	return result;
}

static int fetch(struct extending *extending, struct pd_error *err)
{
	const struct pd_archive_extend *extend = extending->extend;
	struct pd_archive_fetch fetch = { .os = extend->os,
					  .store = extend->store,
					  .directory = extending->fetched_directory,
					  .from = { extending->last.epoch, extending->last.first_lsn },
					  .to_lsn = UINT64_MAX,
					  .go_on = extend->go_on,
					  .context = extend->context };
	int result;

	memcpy(fetch.log.cluster_id, extending->manifest.cluster_id, sizeof fetch.log.cluster_id);
	/* Of a call that was cut off. */
	result = pd_os_remove_tree(extend->os, extending->fetched_directory, err);
	return result == 0 ? pd_archive_fetch(&fetch, &extending->fetched, err) : result;
}

/* Does what was fetched go on with the last segment? *ret_first: which of them is that. */
static int compare(const struct extending *extending, const struct pd_log_raw *raw, size_t *ret_first,
		   struct pd_error *err)
{
	for (size_t n = 0; n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment segment;

		pd_log_raw_segment(raw, n, &segment);
		if (segment.number != extending->last.number || segment.head_crc != extending->last.head_crc)
			continue;
		if (extending->fetched.last_lsn < extending->end.last_lsn)
			return pd_error_set(err, PD_CONFLICT,
					    "the log in %s ends with LSN %" PRIu64
					    ", and its archive with LSN %" PRIu64
					    ": there is nothing to be had from it",
					    extending->extend->data_directory, extending->end.last_lsn,
					    extending->fetched.last_lsn);
		*ret_first = n;
		return 0;
	}
	return pd_error_set(err, PD_CONFLICT,
			    "the log in %s has another segment %010" PRIu32
			    " than the archive: it is of another history since then",
			    extending->extend->data_directory, extending->last.number);
}

/* ---- putting it there ---- */

static int install(const struct extending *extending, uint32_t number, struct pd_error *err)
{
	struct pd_os *os = extending->extend->os;
	char *from = pd_asprintf("%s/%010" PRIu32 ".seg", extending->fetched_directory, number);
	char *to = pd_asprintf("%s/%010" PRIu32 ".seg", extending->log_directory, number);
	int result = from == NULL || to == NULL ? no_memory(err) : pd_os_rename(os, from, to, err);

	if (result == 0)
		result = pd_os_sync_directory(os, extending->log_directory, err);
	if (result == 0)
		result = pd_os_sync_directory(os, extending->fetched_directory, err);
	pd_free(from);
	pd_free(to);
	return result;
}

static int write_manifest(const struct extending *extending, struct pd_error *err)
{
	return pd_manifest_write(extending->extend->os, extending->extend->data_directory,
				 &extending->manifest, err);
}

/* However far it comes, what begins behind it is an epoch of its own; and the log must reach what is there in the end. */
static int install_all(struct extending *extending, struct pd_error *err)
{
	const struct pd_log_options options = options_of(extending, extending->fetched_directory);
	uint64_t last_epoch = extending->fetched.last_epoch;
	struct pd_log_raw *raw;
	size_t first = 0;
	int result = pd_log_raw_new(&options, &raw, err);

	if (result != 0)
		return result;
	result = compare(extending, raw, &first, err);
	extending->manifest.next_epoch = pd_manifest_far_epoch(extending->extend->os, last_epoch);
	if (result == 0)
		result = write_manifest(extending, err);
	for (size_t n = first; result == 0 && n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment segment;

		pd_log_raw_segment(raw, n, &segment);
		result = install(extending, segment.number, err);
	}
	pd_log_raw_free(raw);
	if (result != 0 || last_epoch <= extending->manifest.epoch)
		return result;
	extending->manifest.epoch = last_epoch;
	return write_manifest(extending, err);
}

static int extend_locked(struct extending *extending, struct pd_error *err)
{
	struct pd_os *os = extending->extend->os;
	struct pd_error why;
	int result = find_last(extending, err);

	if (result == 0)
		result = find_end(extending, err);
	if (result == 0)
		result = fetch(extending, err);
	if (result == 0)
		result = install_all(extending, err);
	if (pd_os_remove_tree(os, extending->fetched_directory, &why) != 0 && result == 0)
		result = pd_error_set(err, why.code, "the log is there, but %s cannot be removed: %s",
				      extending->fetched_directory, why.text);
	return result;
}

int pd_archive_extend(const struct pd_archive_extend *extend, struct pd_archive_extended *ret_extended,
		      struct pd_error *err)
{
	struct extending extending = { .extend = extend };
	char *lock_path = pd_asprintf("%s/LOCK", extend->data_directory);
	struct pd_os_lock *lock = NULL;
	int result;

	extending.log_directory = pd_manifest_log_directory(extend->data_directory, 0);
	extending.fetched_directory = pd_asprintf("%s/log/fetched", extend->data_directory);
	if (lock_path == NULL || extending.log_directory == NULL || extending.fetched_directory == NULL)
		result = no_memory(err);
	else
		result = pd_manifest_read(extend->os, extend->data_directory, &extending.manifest, err);
	if (result == 0)
		result = pd_os_lock(extend->os, lock_path, &lock, err);
	if (result == 0)
		result = extend_locked(&extending, err);
	if (lock != NULL)
		pd_os_unlock(lock);
	pd_free(lock_path);
	pd_free(extending.log_directory);
	pd_free(extending.fetched_directory);
	if (result == 0)
		*ret_extended = (struct pd_archive_extended){ .before_lsn = extending.end.last_lsn,
							      .last_lsn = extending.fetched.last_lsn,
							      .last_time_us = extending.fetched.last_time_us,
							      .segments = extending.fetched.segments,
							      .bytes = extending.fetched.bytes };
	return result;
}
