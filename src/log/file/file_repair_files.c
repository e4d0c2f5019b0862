/* Healing a log's files. Each step leaves the old file or the new one, so that whatever happens in between, the next call goes on:
 *
 *   replace    write it under another name, sync it; give the old one a second name aside, sync that; rename, sync
 *   set aside  give it a second name aside, sync that; remove the first, sync */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "log/file/file_private.h"
#include "log/file/repair_private.h"
#include "log/verify.h"
#include "os/os.h"

#define NAMES_MAX 10000u /* files of one name that are set aside */

/* A segment that something is wrong with. */
struct concern {
	uint32_t segment;
	bool damaged;
	uint64_t torn_sector;
};

struct files {
	struct pd_mender mender;
	struct concern *concerns;
	size_t concern_count, concern_capacity;
	uint32_t *here, *there; /* numbers of the segments, of the log's and of the copy's, ascending */
	size_t here_count, here_capacity, there_count, there_capacity;
	uint32_t *restored; /* of `here`: taken from the copy just now, or in a plan only */
	size_t restored_count, restored_capacity;
};

static struct pd_os *os_of(const struct files *files)
{
	return files->mender.options->log.os;
}

/* ---- names ---- */

static int list(struct files *files, const char *directory, uint32_t **numbers, size_t *count,
		size_t *capacity, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(os_of(files), directory, &names, err);

	if (result != 0)
		return result;
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		uint32_t number = pd_file_segment_number(names.names[i]);
		uint32_t *more;

		if (number == 0)
			continue;
		more = pd_grow(*numbers, *count, capacity, sizeof *more, 64);
		if (more == NULL) {
			result = pd_repair_out_of_memory(err);
		} else {
			*numbers = more;
			more[(*count)++] = number;
		}
	}
	pd_os_names_done(&names);
	return result;
}

static bool is_among(const uint32_t *numbers, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

static char *path_in(const char *directory, uint32_t number, const char *suffix)
{
	return pd_asprintf("%s/%010u.%s", directory, number, suffix);
}

/* ---- bytes ---- */

/* The file's bytes. One that is not there has none. */
static int read_file(struct files *files, const char *directory, uint32_t number, struct pd_bytes *bytes,
		     struct pd_error *err)
{
	char *path = path_in(directory, number, "seg");
	struct pd_os_file *file = NULL;
	struct pd_os_file_info info;
	size_t size = 0;
	int result = path == NULL ? pd_repair_out_of_memory(err) : pd_os_info(os_of(files), path, &info, err);

	bytes->size = bytes->sectors = 0;
	if (result == 0 && info.size > bytes->capacity) {
		pd_free(bytes->data);
		bytes->data = pd_malloc(info.size);
		bytes->capacity = bytes->data == NULL ? 0 : info.size;
		if (bytes->data == NULL)
			result = pd_repair_out_of_memory(err);
	}
	if (result == 0)
		result = pd_os_open(os_of(files), path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, bytes->data, info.size, 0, &size, err);
	pd_os_close(file);
	pd_free(path);
	if (result == PD_NOT_FOUND)
		return 0;
	bytes->size = size;
	bytes->sectors = size / PD_SECTOR_SIZE;
	return result;
}

static int write_file(struct pd_os *os, const char *path, const struct pd_bytes *bytes, struct pd_error *err)
{
	struct pd_os_file *file;
	int result = pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, err);

	if (result != 0)
		return result;
	result = pd_os_resize(file, 0, err); /* a longer one may be left from a crash */
	if (result == 0)
		result = pd_os_write(file, bytes->data, bytes->size, 0, err);
	if (result == 0)
		result = pd_os_datasync(file, err);
	pd_os_close(file);
	return result;
}

/* ---- setting aside ---- */

static int sync_parent(struct pd_os *os, const char *path, struct pd_error *err)
{
	char *parent = pd_strdup(path);
	char *slash = parent == NULL ? NULL : strrchr(parent, '/');
	int result;

	if (parent == NULL)
		return pd_repair_out_of_memory(err);
	if (slash != NULL)
		*slash = '\0';
	result = pd_os_sync_directory(os, slash == NULL ? "." : slash == parent ? "/" : parent, err);
	pd_free(parent);
	return result;
}

static int make_aside(const struct files *files, struct pd_error *err)
{
	const char *aside = files->mender.options->aside_directory;
	int result = pd_os_mkdir(os_of(files), aside, err);

	if (result != 0 && result != PD_EXISTS)
		return result;
	return sync_parent(os_of(files), aside, err);
}

static bool same_file(struct pd_os *os, const char *a, const char *b)
{
	struct pd_os_file_info info_a, info_b;

	return pd_os_info(os, a, &info_a, NULL) == 0 && pd_os_info(os, b, &info_b, NULL) == 0 &&
	       info_a.id == info_b.id;
}

/* A second name for the segment's file, in the directory aside. It may have it already. */
static int keep_aside(const struct files *files, uint32_t number, const char *path, struct pd_error *err)
{
	const struct pd_log_repair_options *options = files->mender.options;
	int result = make_aside(files, err);
	bool kept = false;

	for (unsigned n = 1; result == 0 && !kept; n++) {
		char suffix[16] = "";
		char *name;

		if (n > 1)
			(void)snprintf(suffix, sizeof suffix, ".%u", n);
		name = pd_asprintf("%s/log-%04u-%010u.seg%s", options->aside_directory, options->log.shard,
				   number, suffix);
		result = name == NULL ? pd_repair_out_of_memory(err)
				      : pd_os_link(os_of(files), path, name, err);
		if (result == PD_EXISTS && n < NAMES_MAX) {
			kept = same_file(os_of(files), path, name);
			result = 0;
		} else {
			kept = result == 0;
		}
		pd_free(name);
	}
	return result == 0 ? pd_os_sync_directory(os_of(files), options->aside_directory, err) : result;
}

/* Put these bytes in the place of the segment's file, which may be gone. */
static int replace(struct files *files, uint32_t number, const struct pd_bytes *bytes, bool is_there,
		   struct pd_error *err)
{
	const struct pd_log_repair_options *options = files->mender.options;
	const char *directory = options->log.directory;
	char *path = path_in(directory, number, "seg");
	char *fresh = path_in(directory, number, "new");
	int result = path == NULL || fresh == NULL ? pd_repair_out_of_memory(err) : 0;

	files->mender.repair->files_changed++;
	if (options->only_plan)
		goto out;
	if (result == 0)
		result = write_file(os_of(files), fresh, bytes, err);
	if (result == 0 && is_there)
		result = keep_aside(files, number, path, err);
	if (result == 0)
		result = pd_os_rename(os_of(files), fresh, path, err);
	if (result == 0)
		result = pd_os_sync_directory(os_of(files), directory, err);
out:
	pd_free(path);
	pd_free(fresh);
	return result;
}

/* ---- what is wrong ---- */

static struct concern *concern_for(struct files *files, uint32_t segment)
{
	struct concern *concerns;

	for (size_t i = 0; i < files->concern_count; i++)
		if (files->concerns[i].segment == segment)
			return &files->concerns[i];
	concerns = pd_grow(files->concerns, files->concern_count, &files->concern_capacity, sizeof *concerns,
			   16);
	if (concerns == NULL)
		return NULL;
	files->concerns = concerns;
	concerns[files->concern_count] = (struct concern){ .segment = segment, .torn_sector = UINT64_MAX };
	return &concerns[files->concern_count++];
}

static int take_sight(struct files *files, const struct pd_log_sight *sight, struct pd_error *err)
{
	struct concern *concern;

	if (sight->segment == 0 || (sight->kind != PD_SIGHT_DAMAGE && !sight->torn))
		return 0;
	concern = concern_for(files, sight->segment);
	if (concern == NULL)
		return pd_repair_out_of_memory(err);
	if (sight->kind == PD_SIGHT_DAMAGE) {
		concern->damaged = true;
		return pd_repair_see(&files->mender, sight) == 0 ? 0 : pd_repair_out_of_memory(err);
	}
	concern->torn_sector = sight->offset / PD_SECTOR_SIZE;
	return 0;
}

static int look(struct files *files, struct pd_error *err)
{
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	int result = pd_log_verifier_new(&files->mender.options->log, &verifier, err);

	if (result != 0)
		return result;
	while (result == 0) {
		result = pd_log_verifier_next(verifier, &sight, err);
		if (result == 0)
			result = take_sight(files, &sight, err);
	}
	files->mender.repair->damage_before = pd_log_verifier_totals(verifier)->damage_count;
	pd_log_verifier_free(verifier);
	return result == PD_END ? 0 : result;
}

/* ---- healing ---- */

static void go_to(struct files *files, uint32_t segment)
{
	const struct pd_log_options *log = &files->mender.options->log;

	files->mender.location.segment = segment;
	files->mender.location.crc = pd_location_crc(log->cluster_id, log->shard, segment);
	files->mender.changed = false;
}

static int read_copy(struct files *files, uint32_t segment, struct pd_error *err)
{
	struct pd_error why;
	int result = 0;

	files->mender.copy.size = files->mender.copy.sectors = 0;
	if (is_among(files->there, files->there_count, segment))
		result = read_file(files, files->mender.options->copy_directory, segment, &files->mender.copy,
				   &why);
	if (result == PD_NO_MEMORY)
		return pd_repair_out_of_memory(err);
	/* A copy that cannot be read heals nothing; what else does is done all the same. */
	if (result != 0)
		(void)snprintf(files->mender.repair->copy_text, sizeof files->mender.repair->copy_text,
			       "%.199s", why.text);
	return 0;
}

/* Nobody was told that it was done: zeros in its place, and what was there stays aside with the file. */
static int cut_torn(struct files *files, uint64_t sector)
{
	struct pd_mender *mender = &files->mender;
	uint64_t cut = 0;

	for (uint64_t at = sector; at < mender->local.sectors; at++) {
		uint8_t *data = mender->local.data + at * PD_SECTOR_SIZE;

		if (pd_sector_classify(data, &mender->location, at, mender->options->log.cluster_id,
				       mender->options->log.shard) != PD_SECTOR_CURRENT)
			continue;
		memset(data, 0, PD_SECTOR_SIZE);
		cut++;
	}
	if (cut == 0)
		return 0;
	mender->changed = true;
	return pd_repair_note(mender, PD_REPAIR_TORN, sector, mender->local.sectors - sector, 0, 0,
			      "%" PRIu64 " bytes of a write that was not finished", cut * PD_SECTOR_SIZE);
}

/* What the head of the first segment behind this number says of the group before it. */
static int chain_behind(struct files *files, uint32_t number, bool *ret_known, uint32_t *ret_crc,
			struct pd_error *err)
{
	struct pd_mender *mender = &files->mender;
	struct pd_group_header head;
	uint32_t behind = 0;
	int result;

	*ret_known = false;
	for (size_t i = 0; i < files->here_count && behind == 0; i++)
		if (files->here[i] > number)
			behind = files->here[i];
	if (behind == 0)
		return 0;
	go_to(files, behind);
	result = read_file(files, mender->options->log.directory, behind, &mender->local, err);
	if (result == 0)
		result = read_copy(files, behind, err);
	if (result != 0)
		return result;
	*ret_known = is_among(files->restored, files->restored_count, behind)
			     ? pd_repair_copy_head(mender, &head)
			     : pd_repair_head(mender, &head);
	if (*ret_known)
		*ret_crc = head.previous_crc;
	return 0;
}

/* What the copy has and this file has not, since it was cut off, may be put back as well: zeros stand in for it. */
static int make_room(struct pd_mender *mender, struct pd_error *err)
{
	struct pd_bytes *local = &mender->local;
	uint64_t size = mender->copy.sectors * PD_SECTOR_SIZE;
	uint8_t *data;

	if (mender->copy.sectors <= local->sectors)
		return 0;
	if (size > local->capacity) {
		data = pd_realloc(local->data, size);
		if (data == NULL)
			return pd_repair_out_of_memory(err);
		local->data = data;
		local->capacity = size;
	}
	if (size > local->size)
		memset(local->data + local->size, 0, size - local->size);
	local->sectors = mender->copy.sectors;
	return 0;
}

static int mend_damage(struct files *files, struct pd_error *err)
{
	struct pd_mender *mender = &files->mender;
	uint64_t sectors = mender->local.sectors;
	int result = make_room(mender, err);

	if (result != 0)
		return result;
	if (pd_repair_mend_segment(mender) != 0)
		return pd_repair_out_of_memory(err);
	if (mender->healed_sector > sectors) {
		sectors = mender->healed_sector;
		mender->local.size = sectors * PD_SECTOR_SIZE;
	}
	mender->local.sectors = sectors;
	return 0;
}

static int heal_concern(struct files *files, const struct concern *concern, struct pd_error *err)
{
	struct pd_mender *mender = &files->mender;
	int result = chain_behind(files, concern->segment, &mender->behind_known, &mender->behind, err);

	if (result != 0)
		return result;
	go_to(files, concern->segment);
	mender->torn_sector = concern->torn_sector;
	result = read_file(files, mender->options->log.directory, concern->segment, &mender->local, err);
	if (result == 0)
		result = read_copy(files, concern->segment, err);
	if (result != 0 || mender->local.sectors == 0)
		return result;
	if (concern->damaged)
		result = mend_damage(files, err);
	if (result == 0 && concern->torn_sector != UINT64_MAX && cut_torn(files, concern->torn_sector) != 0)
		result = pd_repair_out_of_memory(err);
	return result == 0 && mender->changed ? replace(files, concern->segment, &mender->local, true, err)
					      : result;
}

/* It is there now, or would be: what comes before it can be proven by its head. */
static int note_restored(struct files *files, uint32_t number, struct pd_error *err)
{
	uint32_t *here = pd_grow(files->here, files->here_count, &files->here_capacity, sizeof *here, 64);
	uint32_t *restored;
	size_t at = files->here_count;

	if (here == NULL)
		return pd_repair_out_of_memory(err);
	files->here = here;
	restored = pd_grow(files->restored, files->restored_count, &files->restored_capacity,
			   sizeof *restored, 16);
	if (restored == NULL)
		return pd_repair_out_of_memory(err);
	files->restored = restored;
	restored[files->restored_count++] = number;
	for (; at > 0 && here[at - 1] > number; at--)
		here[at] = here[at - 1];
	here[at] = number;
	files->here_count++;
	return 0;
}

/* A file that is gone between two that are there. Only the last one of several can be proven, and then the one before it. */
static int restore_missing(struct files *files, uint32_t number, struct pd_error *err)
{
	struct pd_mender *mender = &files->mender;
	uint32_t expected = 0, last = 0;
	bool known;
	int result = chain_behind(files, number, &known, &expected, err);

	if (result != 0 || !known)
		return result;
	go_to(files, number);
	result = read_copy(files, number, err);
	if (result != 0)
		return result;
	result = pd_repair_copy_is_whole(mender, &last);
	if (result < 0)
		return pd_repair_out_of_memory(err);
	if (result == 0 || last != expected)
		return 0;
	if (pd_repair_note(mender, PD_REPAIR_SEGMENT, 0, mender->copy.sectors, 0, 0,
			   "the whole file, from the copy") != 0)
		return pd_repair_out_of_memory(err);
	result = replace(files, number, &mender->copy, false, err);
	return result == 0 ? note_restored(files, number, err) : result;
}

static int restore_files(struct files *files, struct pd_error *err)
{
	int result = 0;

	for (size_t i = files->there_count; result == 0 && i-- > 0;) {
		uint32_t number = files->there[i];

		if (files->here_count == 0 || number < files->here[0] ||
		    number > files->here[files->here_count - 1] ||
		    is_among(files->here, files->here_count, number))
			continue;
		result = restore_missing(files, number, err);
	}
	return result;
}

static int take_copy(struct files *files, struct pd_error *err)
{
	const struct pd_log_repair_options *options = files->mender.options;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	int result;

	if (options->copy_directory == NULL)
		return 0;
	result = pd_log_file_identify(options->log.os, options->copy_directory, cluster_id, &shard, err);
	if (result != 0)
		return result;
	if (shard != options->log.shard ||
	    memcmp(cluster_id, options->log.cluster_id, sizeof cluster_id) != 0)
		return pd_error_set(err, PD_INVALID, "%s holds another log: name a copy of this one",
				    options->copy_directory);
	return list(files, options->copy_directory, &files->there, &files->there_count,
		    &files->there_capacity, err);
}

static void files_init(struct files *files, const struct pd_log_repair_options *options,
		       struct pd_log_repair *repair)
{
	*files = (struct files){ .mender = {
					 .options = options, .repair = repair, .torn_sector = UINT64_MAX } };
	pd_buffer_init(&files->mender.scratch, SIZE_MAX / 2);
}

static void files_done(struct files *files)
{
	pd_free(files->mender.local.data);
	pd_free(files->mender.copy.data);
	pd_buffer_done(&files->mender.scratch);
	pd_repair_forget_seen(&files->mender);
	pd_free(files->concerns);
	pd_free(files->here);
	pd_free(files->restored);
	pd_free(files->there);
}

int pd_log_repair_heal(const struct pd_log_repair_options *options, struct pd_log_repair *repair,
		       struct pd_error *err)
{
	struct files files;
	int result;

	files_init(&files, options, repair);
	result = list(&files, options->log.directory, &files.here, &files.here_count, &files.here_capacity,
		      err);
	if (result == 0)
		result = take_copy(&files, err);
	/* First what is gone: then the verifier knows what was in it. */
	if (result == 0)
		result = restore_files(&files, err);
	if (result == 0)
		result = look(&files, err);
	for (size_t i = 0; result == 0 && i < files.concern_count; i++)
		result = heal_concern(&files, &files.concerns[i], err);
	files_done(&files);
	return result;
}

static int put_aside(struct files *files, uint32_t number, struct pd_error *err)
{
	const struct pd_log_repair_options *options = files->mender.options;
	char *path = path_in(options->log.directory, number, "seg");
	int result = path == NULL ? pd_repair_out_of_memory(err) : 0;

	go_to(files, number);
	if (result == 0 && pd_repair_note(&files->mender, PD_REPAIR_ASIDE, 0, 0, 0, 0, "set aside") != 0)
		result = pd_repair_out_of_memory(err);
	if (result == 0 && !options->only_plan) {
		result = keep_aside(files, number, path, err);
		if (result == 0)
			result = pd_os_unlink(options->log.os, path, err);
		if (result == 0)
			result = pd_os_sync_directory(options->log.os, options->log.directory, err);
	}
	pd_free(path);
	return result;
}

int pd_log_repair_set_aside(const struct pd_log_repair_options *options, uint32_t last_segment,
			    struct pd_log_repair *repair, struct pd_error *err)
{
	struct files files;
	int result;

	files_init(&files, options, repair);
	result = list(&files, options->log.directory, &files.here, &files.here_count, &files.here_capacity,
		      err);
	for (size_t i = 0; result == 0 && i + 1 < files.here_count && files.here[i] <= last_segment; i++)
		result = put_aside(&files, files.here[i], err);
	files_done(&files);
	return result;
}
