/* An empty object store of each kind, for the contract's tests, and objects whose bytes follow from a number. */
#ifndef PD_TESTS_OBJECT_FIXTURE_H
#define PD_TESTS_OBJECT_FIXTURE_H

#include "lib/os_fixture.h"
#include "provider/object_store.h"

struct object_fixture {
	struct pd_object_store *store;
	struct fixture *machine; /* the directory is its root */
};

int object_setup_real(void **state);
int object_setup_sim(void **state);
/* In the bucket that the environment names, under a prefix that nothing else uses:
 *   PERDURE_S3_ENDPOINT     "http://127.0.0.1:PORT"
 *   PERDURE_S3_BUCKET, PERDURE_S3_ACCESS_KEY, PERDURE_S3_SECRET_KEY
 *   PERDURE_S3_LOOK_FIRST   it ignores If-None-Match, at least of objects in parts
 *   PERDURE_S3_CA           who vouches for its certificate
 *   PERDURE_S3_SSE          the server encrypts so
 * Parts have 1 MiB. */
int object_setup_s3(void **state);
bool object_s3_is_there(void);
/* The options that object_setup_s3() takes; strings live as long as the process. */
struct pd_s3_options;
void object_s3_options(struct pd_s3_options *ret_options);
int object_teardown(void **state);

/* Byte `at` of content `number`. */
uint8_t object_byte(unsigned number, uint64_t at);

/* A source of `size` bytes of content `number`, which may go wrong; also a sink that compares with it. */
struct object_content {
	unsigned number;
	uint64_t size;
	uint64_t at;
	uint64_t fail_at; /* with PD_WRONG_TYPE, which nobody else says; UINT64_MAX: never */
	uint64_t calls;
};
#define OBJECT_CONTENT(number_, size_) \
	((struct object_content){ .number = (number_), .size = (size_), .fail_at = UINT64_MAX })

struct pd_object_source object_source(struct object_content *content);
struct pd_object_sink object_sink(struct object_content *content);
void object_sha256(unsigned number, uint64_t size, uint8_t sha256[PD_SHA256_SIZE]);

void object_put(struct pd_object_store *store, const char *name, unsigned number, uint64_t size);
/* The object is this content, by head and by get. */
void object_expect(struct pd_object_store *store, const char *name, unsigned number, uint64_t size);
void object_expect_none(struct pd_object_store *store, const char *name);
/* The names behind `after`, separated by spaces and ended by "…" if there are more. */
void object_expect_list(struct pd_object_store *store, const char *prefix, const char *after, size_t limit,
			const char *names);

#endif
