/* The list of errors, and the texts made from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

struct row {
	int code;
	const char *name, *resp, *sqlstate, *text;
	int http, grpc;
	bool retryable;
};

static const struct row rows[] = {
#define X(name, number, retryable, resp, sqlstate, http, grpc, text) \
	{ number, #name, resp, sqlstate, text, http, grpc, retryable },
	PD_ERROR_LIST(X)
#undef X
};

static void test_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];

		assert_int_equal(row->code, -(int)i - 1);
		assert_string_equal(pd_code_name(row->code), row->name);
		assert_string_equal(pd_code_text(row->code), row->text);
		assert_string_equal(pd_code_resp_prefix(row->code), row->resp);
		assert_int_equal(pd_code_retryable(row->code), row->retryable);
		/* As a RESP client takes the prefix apart, and as SQL has its codes. */
		assert_int_equal(strspn(row->resp, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), strlen(row->resp));
		assert_true(row->resp[0] != '\0');
		assert_int_equal(strspn(row->sqlstate, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), 5);
		assert_int_equal(strlen(row->sqlstate), 5);
		assert_true(row->http >= 400 && row->http < 600);
		assert_true(row->grpc >= 1 && row->grpc <= 16);
		assert_null(strchr(row->text, '\n'));
	}
	assert_false(pd_code_retryable(PD_FENCED));
}

static void test_codes_outside_the_list(void **state)
{
	(void)state;
	assert_string_equal(pd_code_name(PD_OK), "PD_OK");
	assert_string_equal(pd_code_text(PD_OK), "success");
	assert_false(pd_code_retryable(PD_OK));
	assert_string_equal(pd_code_text(-1000), "unknown error");
	assert_string_equal(pd_code_resp_prefix(1), "ERR");
	assert_string_equal(pd_code_name(1), "unknown code");
	assert_false(pd_code_retryable(1));
}

static void test_set(void **state)
{
	struct pd_error err;

	(void)state;
	assert_int_equal(pd_error_set(NULL, PD_BUSY, "%s", "dropped"), PD_BUSY);
	assert_int_equal(pd_error_set(&err, PD_BUSY, "open %s: in use by %d", "x.db", 7), PD_BUSY);
	assert_int_equal(err.code, PD_BUSY);
	assert_string_equal(err.text, "open x.db: in use by 7");
	assert_int_equal(pd_error_set(&err, PD_IO, "%2000d", 1), PD_IO);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_system(void **state)
{
	static const struct {
		int errnum, code;
	} table[] = {
		{ ENOSPC, PD_NO_SPACE },
		{ EDQUOT, PD_NO_SPACE },
		{ ENOMEM, PD_NO_MEMORY },
		{ EACCES, PD_PERMISSION },
		{ EPERM, PD_PERMISSION },
		{ EROFS, PD_READ_ONLY },
		{ ENOENT, PD_NOT_FOUND },
		{ EEXIST, PD_EXISTS },
		{ EIO, PD_IO },
		{ EINVAL, PD_IO },
		{ 0, PD_IO },
		{ 99999, PD_IO },
	};
	struct pd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		assert_int_equal(pd_error_system(&err, table[i].errnum, "write %s", "a"), table[i].code);
		assert_int_equal(err.code, table[i].code);
		assert_int_equal(strncmp(err.text, "write a: ", 9), 0);
		assert_string_equal(err.text + 9, strerror(table[i].errnum));
		assert_int_equal(pd_error_system(NULL, table[i].errnum, "x"), table[i].code);
	}
	/* No room for the system's words, or for some of them only. */
	for (int width = 480; width < 520; width++) {
		assert_int_equal(pd_error_system(&err, ENOSPC, "%*d", width, 1), PD_NO_SPACE);
		assert_true(strlen(err.text) < sizeof err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_codes_outside_the_list),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
