#include "backup/known.h"

#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/slice.h"

#define TEXT_MAX ((size_t)64 * 1024) /* of all addresses */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of repositories");
}

static int read_all(struct pd_os *os, const char *path, struct pd_buffer *text, struct pd_error *err)
{
	uint8_t chunk[4096];
	struct pd_os_file *file;
	size_t size = sizeof chunk;
	int result = pd_os_open(os, path, PD_OS_READ, &file, err);

	if (result != 0)
		return result;
	while (result == 0 && size == sizeof chunk) {
		result = pd_os_read(file, chunk, sizeof chunk, text->size, &size, err);
		if (result == 0 && pd_buffer_append(text, chunk, size) != 0)
			result = no_memory(err);
	}
	pd_os_close(file);
	return result;
}

/* Is one of the lines this address? */
static bool has_line(struct pd_slice text, const char *address)
{
	size_t size = strlen(address);

	while (text.size > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.size);
		size_t line = end == NULL ? text.size : (size_t)(end - text.data);

		if (line == size && memcmp(text.data, address, size) == 0)
			return true;
		line += end != NULL;
		text = pd_slice(text.data + line, text.size - line);
	}
	return false;
}

bool pd_backup_is_known(struct pd_os *os, const char *data_directory, const char *address)
{
	char *path = pd_asprintf("%s/repositories", data_directory);
	struct pd_buffer text;
	bool is_known;

	pd_buffer_init(&text, TEXT_MAX);
	is_known = path != NULL && read_all(os, path, &text, NULL) == 0 &&
		   has_line(pd_buffer_slice(&text), address);
	pd_buffer_done(&text);
	pd_free(path);
	return is_known;
}

static int replace(struct pd_os *os, const char *directory, const char *path, const char *temporary,
		   struct pd_slice text, struct pd_error *err)
{
	struct pd_os_file *file = NULL;
	int result = pd_os_open(os, temporary, PD_OS_WRITE | PD_OS_CREATE, &file, err);

	if (result == 0) /* a longer one may be left from a crash */
		result = pd_os_resize(file, 0, err);
	if (result == 0)
		result = pd_os_write(file, text.data, text.size, 0, err);
	if (result == 0)
		result = pd_os_datasync(file, err);
	pd_os_close(file);
	if (result == 0)
		result = pd_os_rename(os, temporary, path, err);
	return result == 0 ? pd_os_sync_directory(os, directory, err) : result;
}

int pd_backup_note_known(struct pd_os *os, const char *data_directory, const char *address,
			 struct pd_error *err)
{
	char *path = pd_asprintf("%s/repositories", data_directory);
	char *temporary = pd_asprintf("%s/repositories.new", data_directory);
	struct pd_buffer text;
	int result = path == NULL || temporary == NULL ? no_memory(err) : 0;

	pd_buffer_init(&text, TEXT_MAX);
	if (result == 0)
		result = read_all(os, path, &text, err);
	if (result == PD_NOT_FOUND)
		result = 0;
	if (result == 0 && !has_line(pd_buffer_slice(&text), address)) {
		result = pd_buffer_printf(&text, "%s\n", address) == 0
				 ? replace(os, data_directory, path, temporary, pd_buffer_slice(&text), err)
				 : no_memory(err);
	}
	pd_buffer_done(&text);
	pd_free(path);
	pd_free(temporary);
	return result;
}
