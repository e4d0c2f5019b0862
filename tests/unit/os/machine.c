#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

void ok(int rc)
{
	if (rc != 0)
		fail_msg("%s", pd_code_name(rc));
}

struct pd_os *machine_with(const struct pd_sim_options *options)
{
	struct pd_os *os = NULL;

	ok(pd_os_sim_new(options, &os, NULL));
	return os;
}

struct pd_os *machine(uint64_t seed)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;

	options.seed = seed;
	return machine_with(&options);
}

struct pd_os_file *open_at(struct pd_os *os, const char *path, int flags)
{
	struct pd_os_file *file = NULL;

	ok(pd_os_open(os, path, flags, &file, NULL));
	return file;
}

void fill(struct pd_os_file *file, char byte, size_t size, uint64_t offset)
{
	uint8_t *data = pd_malloc_aligned(4096, size);

	memset(data, byte, size);
	ok(pd_os_write(file, data, size, offset, NULL));
	pd_free(data);
}

struct pd_os_file *stable_file(struct pd_os *os, const char *path, size_t size, int flags)
{
	struct pd_os_file *file = open_at(os, path, READ_WRITE_CREATE | flags);

	if (size > 0)
		fill(file, 'a', size, 0);
	ok(pd_os_datasync(file, NULL));
	ok(pd_os_sync_directory(os, "/", NULL));
	return file;
}

const uint8_t *content(struct pd_os *os, const char *path, uint64_t *ret_size)
{
	const uint8_t *data = NULL;

	ok(pd_sim_content(os, path, &data, ret_size));
	return data;
}

bool exists(struct pd_os *os, const char *path)
{
	struct pd_os_file_info info;
	int rc = pd_os_info(os, path, &info, NULL);

	assert_true(rc == 0 || rc == PD_NOT_FOUND);
	return rc == 0;
}

bool is_all(const uint8_t *data, size_t size, int byte)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t)byte)
			return false;
	return true;
}

void cut(struct pd_os *os, struct pd_os_file *file)
{
	pd_sim_power_cut(os);
	pd_os_close(file);
}

int little_story(struct pd_os *os)
{
	struct pd_os_file *file = NULL;
	uint8_t block[4 * SECTOR];
	int rc;

	memset(block, 's', sizeof block);
	rc = pd_os_mkdir(os, "/d", NULL);
	if (rc == 0)
		rc = pd_os_open(os, "/d/t", READ_WRITE_CREATE, &file, NULL);
	if (rc == 0)
		rc = pd_os_write(file, block, sizeof block, 0, NULL);
	if (rc == 0)
		rc = pd_os_datasync(file, NULL);
	if (rc == 0)
		rc = pd_os_rename(os, "/d/t", "/d/f", NULL);
	if (rc == 0)
		rc = pd_os_sync_directory(os, "/d", NULL);
	if (rc == 0)
		rc = pd_os_sync_directory(os, "/", NULL);
	pd_os_close(file);
	return rc;
}
