/* The manifest: which files there are, newest first, and what they are the state of.
 *
 *   head   "PDLEVELS", CRC of what follows (u32), format (u32: 1), size of it all, epoch and LSN that are applied, the next
 *          file's number (u64 each), files (u32), 0 (u32)
 *   file*  number, size, entries, deletes (u64), kind, CRC of its index, size of its first key, size of its last (u32),
 *          first key, last key
 *
 * It is replaced as a whole: written beside, synced, renamed, and the directory synced. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/plant.h"
#include "store/plain/plain_private.h"

enum {
	FORMAT = 1,
	HEAD_SIZE = 56,
	FILE_SIZE = 48,
	LEVEL_SIZE_MIN = 72, /* head and foot of a file */
};

#define MAGIC     "PDLEVELS"
#define NAME      "MANIFEST"
#define TEMPORARY "MANIFEST.tmp"

bool pd_plain_manifest_is_temporary(const char *name)
{
	return strcmp(name, TEMPORARY) == 0;
}

/* ---- writing ---- */

static int append_file(struct pd_buffer *to, const struct pd_plain_description *is)
{
	uint8_t *at;

	if (pd_buffer_reserve(to, FILE_SIZE + is->first.size + is->last.size) != 0)
		return PD_NO_MEMORY;
	at = to->data + to->size;
	pd_store_u64(at, is->number);
	pd_store_u64(at + 8, is->size);
	pd_store_u64(at + 16, is->entries);
	pd_store_u64(at + 24, is->deletes);
	pd_store_u32(at + 32, (uint32_t)is->kind);
	pd_store_u32(at + 36, is->crc);
	pd_store_u32(at + 40, (uint32_t)is->first.size);
	pd_store_u32(at + 44, (uint32_t)is->last.size);
	to->size += FILE_SIZE;
	PD_ASSERT(pd_buffer_append_slice(to, is->first) == 0);
	PD_ASSERT(pd_buffer_append_slice(to, is->last) == 0);
	return 0;
}

static int encode(struct pd_buffer *to, const struct pd_plain_version *version, uint64_t next_number)
{
	int rc = pd_buffer_reserve(to, HEAD_SIZE);

	if (rc != 0)
		return rc;
	to->size = HEAD_SIZE;
	for (size_t i = 0; i < version->count && rc == 0; i++)
		rc = append_file(to, &version->files[i]->is);
	if (rc != 0)
		return rc;
	memcpy(to->data, MAGIC, 8);
	pd_store_u32(to->data + 12, FORMAT);
	pd_store_u64(to->data + 16, to->size);
	pd_store_u64(to->data + 24, version->applied.epoch);
	pd_store_u64(to->data + 32, version->applied.lsn);
	pd_store_u64(to->data + 40, next_number);
	pd_store_u32(to->data + 48, (uint32_t)version->count);
	pd_store_u32(to->data + 52, 0);
	pd_store_u32(to->data + 8, pd_crc32c(0, to->data + 12, to->size - 12));
	return 0;
}

/* Always a new file: one of which a sync has failed proves nothing by a second. */
static int write_beside(struct pd_os *os, const char *path, const struct pd_buffer *content,
			struct pd_error *err)
{
	struct pd_os_file *file = NULL;
	int rc = pd_os_unlink(os, path, err);

	if (rc != 0 && rc != PD_NOT_FOUND)
		return rc;
	rc = pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE, &file, err);
	if (rc == 0)
		rc = pd_os_write(file, content->data, content->size, 0, err);
	if (rc == 0 && !pd_plant(PD_PLANT_STATE_MANIFEST_UNSYNCED))
		rc = pd_os_datasync(file, err);
	pd_os_close(file);
	return rc;
}

int pd_plain_manifest_write(struct pd_os *os, const char *directory, const struct pd_plain_version *version,
			    uint64_t next_number, bool *ret_doubt, struct pd_error *err)
{
	char *path = pd_asprintf("%s/" NAME, directory);
	char *temporary = pd_asprintf("%s/" TEMPORARY, directory);
	struct pd_buffer content;
	int rc = PD_NO_MEMORY;

	*ret_doubt = false;
	pd_buffer_init(&content, SIZE_MAX / 2);
	if (path == NULL || temporary == NULL || encode(&content, version, next_number) != 0) {
		(void)pd_plain_no_memory(directory, err);
		goto out;
	}
	rc = write_beside(os, temporary, &content, err);
	if (rc != 0) {
		(void)!pd_os_unlink(os, temporary, NULL);
		goto out;
	}
	rc = pd_os_rename(os, temporary, path, err);
	if (rc == 0)
		rc = pd_os_sync_directory(os, directory, err);
	*ret_doubt = rc != 0;
out:
	pd_buffer_done(&content);
	pd_free(path);
	pd_free(temporary);
	return rc;
}

/* ---- reading ---- */

static int read_whole(struct pd_os *os, const char *path, uint8_t **ret_image, size_t *ret_size,
		      struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file = NULL;
	uint8_t *image = NULL;
	int rc = pd_os_info(os, path, &info, err);

	if (rc != 0)
		return rc;
	image = pd_malloc((size_t)info.size);
	if (image == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot read '%s': out of memory", path);
	rc = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (rc == 0)
		rc = pd_os_read(file, image, (size_t)info.size, 0, ret_size, err);
	pd_os_close(file);
	if (rc != 0)
		pd_free(image);
	else
		*ret_image = image;
	return rc;
}

/* NULL: it is not whole. */
static const uint8_t *decode_file(const uint8_t *at, const uint8_t *end, struct pd_plain_description *is)
{
	uint64_t first_size, last_size;

	if (end - at < FILE_SIZE)
		return NULL;
	is->number = pd_load_u64(at);
	is->size = pd_load_u64(at + 8);
	is->entries = pd_load_u64(at + 16);
	is->deletes = pd_load_u64(at + 24);
	is->kind = (enum pd_plain_kind)pd_load_u32(at + 32);
	is->crc = pd_load_u32(at + 36);
	first_size = pd_load_u32(at + 40);
	last_size = pd_load_u32(at + 44);
	at += FILE_SIZE;
	if (first_size + last_size > (uint64_t)(end - at) || is->size < LEVEL_SIZE_MIN ||
	    (is->kind != PD_PLAIN_POINTS && is->kind != PD_PLAIN_RANGES))
		return NULL;
	is->first = pd_slice(at, (size_t)first_size);
	is->last = pd_slice(at + first_size, (size_t)last_size);
	return at + first_size + last_size;
}

static int decode(struct pd_plain_manifest *manifest, size_t size, const char *path, struct pd_error *err)
{
	const uint8_t *image = manifest->image, *at = image + HEAD_SIZE, *end = image + size;

	if (size < HEAD_SIZE || memcmp(image, MAGIC, 8) != 0 || pd_load_u64(image + 16) != size ||
	    pd_load_u32(image + 8) != pd_crc32c(0, image + 12, size - 12))
		return pd_error_set(err, PD_CORRUPT, "%s: it is not as it was written", path);
	if (pd_load_u32(image + 12) != FORMAT)
		return pd_error_set(err, PD_NEWER_FORMAT, "%s: format %u; this build reads %d", path,
				    pd_load_u32(image + 12), FORMAT);
	manifest->applied = (struct pd_log_position){ pd_load_u64(image + 24), pd_load_u64(image + 32) };
	manifest->next_number = pd_load_u64(image + 40);
	manifest->count = pd_load_u32(image + 48);
	if (manifest->count > size / FILE_SIZE)
		return pd_error_set(err, PD_CORRUPT, "%s: it makes no sense", path);
	manifest->files = pd_calloc(manifest->count, sizeof *manifest->files);
	if (manifest->files == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot read '%s': out of memory", path);
	for (size_t i = 0; i < manifest->count && at != NULL; i++)
		at = decode_file(at, end, &manifest->files[i]);
	return at == end ? 0 : pd_error_set(err, PD_CORRUPT, "%s: it makes no sense", path);
}

int pd_plain_manifest_read(struct pd_os *os, const char *directory, struct pd_plain_manifest *ret_manifest,
			   struct pd_error *err)
{
	char *path = pd_asprintf("%s/" NAME, directory);
	struct pd_plain_manifest manifest = { 0 };
	size_t size = 0;
	int rc;

	if (path == NULL)
		return pd_plain_no_memory(directory, err);
	rc = read_whole(os, path, &manifest.image, &size, err);
	if (rc == 0)
		rc = decode(&manifest, size, path, err);
	if (rc == 0)
		*ret_manifest = manifest;
	else
		pd_plain_manifest_done(&manifest);
	pd_free(path);
	return rc;
}

void pd_plain_manifest_done(struct pd_plain_manifest *manifest)
{
	pd_free(manifest->image);
	pd_free(manifest->files);
	*manifest = (struct pd_plain_manifest){ 0 };
}
