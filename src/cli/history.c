#include "cli/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

#define BYTES_MAX (4u * 1024 * 1024) /* of a file; what is longer is read from its end */

char *pd_history_path(void)
{
	const char *path = getenv("PERDURE_HISTORY"), *home = getenv("HOME");

	if (path != NULL)
		return path[0] != '\0' ? pd_strdup(path) : NULL;
	return home != NULL && home[0] != '\0' ? pd_asprintf("%s/.perdure_history", home) : NULL;
}

/* The end of the file, from a line's beginning on. */
static int read_end(struct pd_os_file *file, uint64_t size, struct pd_buffer *text, struct pd_error *err)
{
	uint64_t offset = size > BYTES_MAX ? size - BYTES_MAX : 0;
	const uint8_t *end;
	int result = pd_buffer_reserve(text, (size_t)(size - offset));
	size_t got = 0;

	if (result != 0)
		return pd_error_set(err, result, "out of memory for the history");
	result = size > offset ? pd_os_read(file, text->data, (size_t)(size - offset), offset, &got, err) : 0;
	if (result != 0)
		return result;
	text->size = got;
	if (offset > 0 && got > 0) {
		end = memchr(text->data, '\n', got);
		pd_buffer_consume(text, end != NULL ? (size_t)(end - text->data) + 1 : got);
	}
	return 0;
}

static size_t count_lines(const struct pd_buffer *text)
{
	size_t lines = 0;

	for (size_t i = 0; i < text->size; i++)
		lines += text->data[i] == '\n';
	return lines;
}

/* Drop what is older than the lines that are kept. */
static void cut(struct pd_buffer *text)
{
	size_t lines = count_lines(text), at = 0;

	for (; lines > PD_HISTORY_LINES; lines--)
		at += (size_t)((const uint8_t *)memchr(text->data + at, '\n', text->size - at) -
			       (text->data + at)) +
		      1;
	pd_buffer_consume(text, at);
}

/* Put the shorter text in the file's place. */
static int rewrite(struct pd_os *os, const char *path, const struct pd_buffer *text, struct pd_error *err)
{
	char *beside = pd_asprintf("%s.new", path);
	struct pd_os_file *file = NULL;
	int result;

	if (beside == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the history");
	result = pd_os_open(os, beside, PD_OS_WRITE | PD_OS_CREATE, &file, err);
	if (result == 0)
		result = pd_os_resize(file, 0, err); /* a process that was killed may have left it */
	if (result == 0)
		result = pd_os_write(file, text->data, text->size, 0, err);
	pd_os_close(file);
	if (result == 0)
		result = pd_os_rename(os, beside, path, err);
	pd_free(beside);
	return result;
}

static void take_lines(const struct pd_buffer *text, void (*take)(void *context, struct pd_slice line),
		       void *context)
{
	size_t began = 0;

	for (size_t at = 0; at < text->size; at++) {
		if (text->data[at] != '\n')
			continue;
		if (at > began)
			take(context, pd_slice(text->data + began, at - began));
		began = at + 1;
	}
}

int pd_history_load(struct pd_os *os, const char *path, void (*take)(void *context, struct pd_slice line),
		    void *context, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file;
	struct pd_buffer text;
	int result = pd_os_info(os, path, &info, err);

	if (result == PD_NOT_FOUND)
		return 0;
	if (result == 0)
		result = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (result != 0)
		return result;
	pd_buffer_init(&text, BYTES_MAX + 1);
	result = read_end(file, info.size, &text, err);
	pd_os_close(file);
	if (result == 0 && count_lines(&text) > 2 * PD_HISTORY_LINES) {
		cut(&text);
		result = rewrite(os, path, &text, err);
	}
	if (result == 0)
		take_lines(&text, take, context);
	pd_buffer_done(&text);
	return result;
}

int pd_history_add(struct pd_os *os, const char *path, struct pd_slice line, struct pd_error *err)
{
	struct pd_os_file_info info = { 0 };
	struct pd_os_file *file = NULL;
	struct pd_buffer text;
	int result = pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, err);

	if (result != 0)
		return result;
	pd_buffer_init(&text, BYTES_MAX);
	if (pd_os_info(os, path, &info, NULL) != 0)
		info.size = 0;
	if (pd_buffer_append_slice(&text, line) != 0 || pd_buffer_append(&text, "\n", 1) != 0)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for the history");
	else
		result = pd_os_write(file, text.data, text.size, info.size, err);
	pd_buffer_done(&text);
	pd_os_close(file);
	return result;
}
