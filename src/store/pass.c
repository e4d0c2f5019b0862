/* Reading files through: their hashes, and copies of them. */
#include "store/pass.h"

#include "base/memory.h"

#define CHUNK           ((size_t)1024 * 1024)
#define CHUNK_ALIGNMENT 4096

int pd_pass_init(struct pd_pass *pass, struct pd_os *os, pd_levels_progress *progress, void *context,
		 struct pd_error *err)
{
	*pass = (struct pd_pass){ .os = os, .progress = progress, .context = context };
	pass->hasher = pd_hasher_new();
	pass->chunk = pd_malloc_aligned(CHUNK_ALIGNMENT, CHUNK);
	if (pass->hasher == NULL || pass->chunk == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for reading files back");
	return 0;
}

void pd_pass_done(struct pd_pass *pass)
{
	pd_hasher_free(pass->hasher);
	pd_free(pass->chunk);
}

int pd_pass_on(struct pd_pass *pass, size_t size, struct pd_error *err)
{
	pass->done += size;
	if (pass->progress == NULL || pass->progress(pass->context, pass->done, pass->total))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "the work on a checkpoint was cancelled");
}

int pd_pass_open(struct pd_pass *pass, const char *path, struct pd_os_file **ret_file, struct pd_error *err)
{
	int result = pd_os_open(pass->os, path, PD_OS_READ | PD_OS_DIRECT, ret_file, err);

	return result == PD_NOT_SUPPORTED ? pd_os_open(pass->os, path, PD_OS_READ, ret_file, err) : result;
}

int pd_pass_content(struct pd_pass *pass, struct pd_os_file *file, struct pd_os_file *copy,
		    uint64_t *ret_size, struct pd_hash128 *ret_hash, struct pd_error *err)
{
	uint64_t at = 0;
	size_t size = CHUNK;
	int result = 0;

	pd_hasher_reset(pass->hasher);
	while (result == 0 && size == CHUNK) {
		result = pd_os_read(file, pass->chunk, CHUNK, at, &size, err);
		if (result != 0)
			break;
		pd_hasher_add(pass->hasher, pass->chunk, size);
		if (copy != NULL && size > 0)
			result = pd_os_write(copy, pass->chunk, size, at, err);
		at += size;
		if (result == 0)
			result = pd_pass_on(pass, size, err);
	}
	*ret_size = at;
	*ret_hash = pd_hasher_sum(pass->hasher);
	return result;
}

int pd_pass_read_back(struct pd_pass *pass, const char *path, uint64_t size, struct pd_hash128 *ret_hash,
		      struct pd_error *err)
{
	struct pd_os_file *file = NULL;
	uint64_t found = 0;
	int result = pd_pass_open(pass, path, &file, err);

	if (result == 0)
		result = pd_os_datasync(file, err);
	if (result == 0)
		result = pd_pass_content(pass, file, NULL, &found, ret_hash, err);
	if (result == 0 && found != size)
		result = pd_error_set(err, PD_IO, "%s has changed its size while it was read", path);
	pd_os_close(file);
	return result;
}
