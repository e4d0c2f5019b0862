#include "provider/s3/files.h"

int pd_s3_read_file(struct pd_os *os, const char *path, struct pd_buffer *ret_text, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file = NULL;
	size_t got = 0;
	int rc = pd_os_info(os, path, &info, err);

	if (rc != 0)
		return rc;
	if (info.is_directory || info.is_special)
		return pd_error_set(err, PD_INVALID, "'%s' is no file", path);
	if (info.size >= ret_text->max)
		return pd_error_set(err, PD_TOO_LARGE, "'%s' has more than %zu bytes; name another file",
				    path, ret_text->max - 1);
	rc = pd_buffer_reserve(ret_text, (size_t)info.size + 1);
	if (rc != 0)
		return pd_error_set(err, rc, "no memory to read '%s'", path);
	rc = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (rc == 0)
		rc = pd_os_read(file, ret_text->data, (size_t)info.size, 0, &got, err);
	pd_os_close(file);
	if (rc != 0)
		return rc;
	ret_text->data[got] = '\0';
	ret_text->size = got + 1;
	return 0;
}
