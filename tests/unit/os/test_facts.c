/* What the machine says of a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "os/facts.h"

static void test_owner(void **state)
{
	char path[] = "/tmp/perdure-facts-XXXXXX";
	struct pd_os_owner owner;
	struct pd_error err;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(chmod(path, 0751), 0);
	assert_int_equal(pd_os_owner(path, &owner, &err), 0);
	assert_int_equal(owner.mode, 0751);
	assert_int_equal(owner.user, pd_os_user());
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(pd_os_owner(path, &owner, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, path));
}

static void test_mount(void **state)
{
	struct pd_os_mount mount = { 0 };
	struct pd_error err;

	(void)state;
	assert_int_equal(pd_os_mount_of("/proc/self", &mount, &err), 0);
	assert_string_equal(mount.type, "proc");
	assert_string_equal(mount.point, "/proc");
	assert_int_equal(pd_os_mount_of("/proc/../proc/sys/kernel/ostype", &mount, &err), 0);
	assert_string_equal(mount.type, "proc");
	assert_int_equal(pd_os_mount_of("/nowhere/at/all", &mount, &err), PD_NOT_FOUND);
}

static void test_options(void **state)
{
	const struct pd_os_mount mount = { .options = "rw,noatime,data=writeback,rw" };

	(void)state;
	assert_true(pd_os_mount_has(&mount, "rw"));
	assert_true(pd_os_mount_has(&mount, "data=writeback"));
	assert_true(pd_os_mount_has(&mount, "noatime"));
	assert_false(pd_os_mount_has(&mount, "atime"));
	assert_false(pd_os_mount_has(&mount, "ro"));
	assert_false(pd_os_mount_has(&mount, "data"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
