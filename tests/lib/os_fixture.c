#include "lib/os_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/sim.h"

int setup_real(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	const char *directory = getenv("TMPDIR");

	assert_non_null(fixture);
	fixture->root = pd_asprintf("%s/perdure-os-XXXXXX", directory != NULL ? directory : "/tmp");
	assert_non_null(fixture->root);
	assert_non_null(mkdtemp(fixture->root));
	check(pd_os_real_new(&fixture->os, why));
	*state = fixture;
	return 0;
}

static int setup_sim_with(void **state, struct pd_sim_options options)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->simulated = true;
	fixture->root = pd_strdup("/data");
	check(pd_os_sim_new(&options, &fixture->os, why));
	check(pd_os_mkdir(fixture->os, fixture->root, why));
	*state = fixture;
	return 0;
}

int setup_sim(void **state)
{
	return setup_sim_with(state, PD_SIM_OPTIONS_DEFAULT);
}

int setup_sim_plain(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;

	options.seed = 7;
	options.torn_unit = 4096;
	options.direct_alignment = 0;
	options.queue_supported = false;
	return setup_sim_with(state, options);
}

int teardown(void **state)
{
	struct fixture *fixture = *state;

	check(pd_os_remove_tree(fixture->os, fixture->root, why));
	pd_os_free(fixture->os);
	pd_free(fixture->root);
	free(fixture);
	return 0;
}

const char *path_of(const struct fixture *fixture, const char *name)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof paths[0], "%s/%s", fixture->root, name);
	return path;
}

struct pd_os_file *open_file(const struct fixture *fixture, const char *name, int flags)
{
	struct pd_os_file *file = NULL;

	check(pd_os_open(fixture->os, path_of(fixture, name), flags, &file, why));
	assert_non_null(file);
	return file;
}

void write_text(struct pd_os_file *file, const char *text, uint64_t offset)
{
	check(pd_os_write(file, text, strlen(text), offset, why));
}

void expect_text(struct pd_os_file *file, const char *text)
{
	char got[256];
	size_t size = SIZE_MAX;

	check(pd_os_read(file, got, sizeof got, 0, &size, why));
	assert_int_equal(size, strlen(text));
	assert_memory_equal(got, text, size);
}

void create_with(const struct fixture *fixture, const char *name, const char *text)
{
	struct pd_os_file *file = open_file(fixture, name, READ_WRITE_CREATE);

	write_text(file, text, 0);
	pd_os_close(file);
}

void expect_file(const struct fixture *fixture, const char *name, const char *text)
{
	struct pd_os_file *file = open_file(fixture, name, PD_OS_READ);

	expect_text(file, text);
	pd_os_close(file);
}

uint64_t size_of(const struct fixture *fixture, const char *name)
{
	struct pd_os_file_info info;

	check(pd_os_info(fixture->os, path_of(fixture, name), &info, why));
	assert_false(info.is_directory);
	return info.size;
}

uint64_t id_of(const struct fixture *fixture, const char *name)
{
	struct pd_os_file_info info;

	check(pd_os_info(fixture->os, path_of(fixture, name), &info, why));
	return info.id;
}
