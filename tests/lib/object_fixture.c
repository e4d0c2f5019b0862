#include "lib/object_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "provider/local.h"
#include "provider/s3.h"

static int setup_in(void **state)
{
	struct object_fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->machine = *state;
	check(pd_object_store_local_new(fixture->machine->os, fixture->machine->root, &fixture->store, why));
	*state = fixture;
	return 0;
}

int object_setup_real(void **state)
{
	(void)setup_real(state);
	return setup_in(state);
}

int object_setup_sim(void **state)
{
	(void)setup_sim(state);
	return setup_in(state);
}

bool object_s3_is_there(void)
{
	return getenv("PERDURE_S3_ENDPOINT") != NULL;
}

void object_s3_options(struct pd_s3_options *ret_options)
{
	static char prefix[64];
	static unsigned turn;
	uint64_t random;
	struct pd_os *os;

	check(pd_os_real_new(&os, why));
	pd_os_random(os, &random, sizeof random);
	pd_os_free(os);
	(void)snprintf(prefix, sizeof prefix, "test-%u/%08x", turn++, (unsigned)random);
	*ret_options = (struct pd_s3_options){
		.endpoint = getenv("PERDURE_S3_ENDPOINT"),
		.bucket = getenv("PERDURE_S3_BUCKET"),
		.prefix = prefix,
		.access_key = getenv("PERDURE_S3_ACCESS_KEY"),
		.secret_key = getenv("PERDURE_S3_SECRET_KEY"),
		.ca_file = getenv("PERDURE_S3_CA"),
		.sse = getenv("PERDURE_S3_SSE"),
		.look_first = getenv("PERDURE_S3_LOOK_FIRST") != NULL,
		.part_size_bytes = 1024 * 1024,
	};
}

int object_setup_s3(void **state)
{
	struct object_fixture *fixture;
	struct pd_s3_options options;

	(void)setup_real(state);
	(void)setup_in(state);
	fixture = *state;
	pd_object_store_free(fixture->store);
	object_s3_options(&options);
	check(pd_object_store_s3_new(fixture->machine->os, &options, &fixture->store, why));
	return 0;
}

int object_teardown(void **state)
{
	struct object_fixture *fixture = *state;

	pd_object_store_free(fixture->store);
	*state = fixture->machine;
	free(fixture);
	return teardown(state);
}

/* ---- contents ---- */

uint8_t object_byte(unsigned number, uint64_t at)
{
	return (uint8_t)(number * 101 + at + at / 251 + at / 65536);
}

static int content_read(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err)
{
	struct object_content *content = context;
	uint64_t left = content->size - content->at;

	content->calls++;
	if (content->at + size > content->fail_at)
		return pd_error_set(err, PD_WRONG_TYPE, "the source has failed");
	*ret_size = left < size ? (size_t)left : size;
	for (size_t i = 0; i < *ret_size; i++)
		((uint8_t *)data)[i] = object_byte(content->number, content->at + i);
	content->at += *ret_size;
	return 0;
}

static int content_write(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct object_content *content = context;

	content->calls++;
	if (content->at + size > content->fail_at)
		return pd_error_set(err, PD_WRONG_TYPE, "the sink has failed");
	assert_true(size > 0 && content->at + size <= content->size);
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data)[i] != object_byte(content->number, content->at + i))
			fail_msg("byte %zu is wrong", (size_t)content->at + i);
	content->at += size;
	return 0;
}

struct pd_object_source object_source(struct object_content *content)
{
	return (struct pd_object_source){ .read = content_read, .context = content };
}

struct pd_object_sink object_sink(struct object_content *content)
{
	return (struct pd_object_sink){ content_write, content };
}

void object_sha256(unsigned number, uint64_t size, uint8_t sha256[PD_SHA256_SIZE])
{
	uint8_t *bytes = malloc(size + 1);

	assert_non_null(bytes);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = object_byte(number, i);
	assert_int_equal(pd_crypto_sha256(pd_slice(bytes, size), sha256), 0);
	free(bytes);
}

/* ---- objects ---- */

void object_put(struct pd_object_store *store, const char *name, unsigned number, uint64_t size)
{
	struct object_content content = OBJECT_CONTENT(number, size);
	struct pd_object_source source = object_source(&content);
	uint8_t sha256[PD_SHA256_SIZE];
	struct pd_object_receipt receipt = { 0 };

	check(pd_object_put(store, name, &source, NULL, &receipt, why));
	assert_int_equal(receipt.size, size);
	object_sha256(number, size, sha256);
	assert_memory_equal(receipt.sha256, sha256, sizeof sha256);
}

void object_expect(struct pd_object_store *store, const char *name, unsigned number, uint64_t size)
{
	struct object_content content = OBJECT_CONTENT(number, size);
	struct pd_object_sink sink = object_sink(&content);
	uint8_t sha256[PD_SHA256_SIZE];
	uint64_t got = UINT64_MAX;

	check(pd_object_head(store, name, &got, why));
	assert_int_equal(got, size);
	object_sha256(number, size, sha256);
	check(pd_object_get(store, name, 0, PD_OBJECT_SIZE_UNKNOWN, sha256, &sink, &got, why));
	assert_int_equal(got, size);
	assert_int_equal(content.at, size);
}

void object_expect_none(struct pd_object_store *store, const char *name)
{
	struct object_content content = OBJECT_CONTENT(0, 0);
	struct pd_object_sink sink = object_sink(&content);
	struct pd_error err = { 0 };
	uint64_t got = 77;

	assert_int_equal(pd_object_head(store, name, &got, &err), PD_NOT_FOUND);
	assert_int_equal(err.code, PD_NOT_FOUND);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(pd_object_get(store, name, 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &sink, &got, &err),
			 PD_NOT_FOUND);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(got, 77);
	assert_int_equal(content.calls, 0);
}

void object_expect_list(struct pd_object_store *store, const char *prefix, const char *after, size_t limit,
			const char *names)
{
	struct pd_object_page page = { 0 };
	char text[8192] = "";
	size_t size = 0;

	check(pd_object_list(store, prefix, after, limit, &page, why));
	assert_true(page.count <= limit);
	for (size_t i = 0; i < page.count; i++)
		size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", i > 0 ? " " : "",
					 page.entries[i].name);
	if (page.more)
		(void)snprintf(text + size, sizeof text - size, "…");
	assert_string_equal(text, names);
	pd_object_page_done(&page);
}
