/* A bucket, worked by lines: what Python tests drive the store with.
 *
 *   put NAME NUMBER SIZE [RETAIN_UNTIL_US]   get NAME NUMBER OFFSET SIZE   head NAME   delete NAME
 *   list PREFIX AFTER LIMIT ("-": empty)     sweep SECONDS
 *
 * Each is answered by a line: the code's name, what it gave, and behind a "|" the error's text. The content of NUMBER is that of
 * tests/lib/object_fixture.h; get compares with it, and says DIFFERENT if it is another. The store is told of in the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/object_fixture.h"
#include "provider/s3.h"

struct comparison {
	unsigned number;
	uint64_t at;
	bool differs;
};

static int compare(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct comparison *comparison = context;

	(void)err;
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data)[i] != object_byte(comparison->number, comparison->at + i))
			comparison->differs = true;
	comparison->at += size;
	return 0;
}

static uint64_t number_of(const char *word)
{
	return word != NULL ? strtoull(word, NULL, 10) : 0;
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static struct pd_object_store *open_store(struct pd_os *os, struct pd_error *err)
{
	static const uint8_t sse_key[32] = "a key that has thirty-two bytes.";
	const char *style = setting("PERDURE_S3_STYLE"), *retention = setting("PERDURE_S3_RETENTION");
	struct pd_s3_options options = {
		.endpoint = setting("PERDURE_S3_ENDPOINT"),
		.bucket = setting("PERDURE_S3_BUCKET"),
		.prefix = setting("PERDURE_S3_PREFIX"),
		.region = setting("PERDURE_S3_REGION"),
		.access_key = setting("PERDURE_S3_ACCESS_KEY"),
		.secret_key = setting("PERDURE_S3_SECRET_KEY"),
		.session_token = setting("PERDURE_S3_TOKEN"),
		.ca_file = setting("PERDURE_S3_CA"),
		.sse = setting("PERDURE_S3_SSE"),
		.sse_kms_key_id = setting("PERDURE_S3_KMS_KEY"),
		.sse_key = setting("PERDURE_S3_OWN_KEY") != NULL ? sse_key : NULL,
		.look_first = setting("PERDURE_S3_LOOK_FIRST") != NULL,
		.part_size_bytes = (size_t)number_of(setting("PERDURE_S3_PART_SIZE")),
		.attempts = (unsigned)number_of(setting("PERDURE_S3_ATTEMPTS")),
		.timeout_s = (unsigned)number_of(setting("PERDURE_S3_TIMEOUT")),
	};
	struct pd_object_store *store = NULL;

	if (style != NULL)
		options.style = strcmp(style, "virtual") == 0 ? PD_S3_STYLE_VIRTUAL : PD_S3_STYLE_PATH;
	if (retention != NULL)
		options.retention = strcmp(retention, "compliance") == 0 ? PD_S3_RETENTION_COMPLIANCE
									 : PD_S3_RETENTION_GOVERNANCE;
	return pd_object_store_s3_new(os, &options, &store, err) == 0 ? store : NULL;
}

static int do_list(struct pd_object_store *store, char **words, struct pd_error *err)
{
	struct pd_object_page page = { 0 };
	int rc = pd_object_list(store, strcmp(words[1], "-") == 0 ? "" : words[1],
				strcmp(words[2], "-") == 0 ? "" : words[2], (size_t)number_of(words[3]),
				&page, err);

	(void)printf("%s", pd_code_name(rc));
	for (size_t i = 0; i < page.count; i++)
		(void)printf(" %s=%llu", page.entries[i].name, (unsigned long long)page.entries[i].size);
	if (page.more)
		(void)printf(" more");
	pd_object_page_done(&page);
	return rc;
}

static int do_get(struct pd_object_store *store, char **words, struct pd_error *err)
{
	struct comparison comparison = { .number = (unsigned)number_of(words[2]), .at = number_of(words[3]) };
	const struct pd_object_sink sink = { compare, &comparison };
	uint64_t size = 0;
	int rc = pd_object_get(store, words[1], number_of(words[3]), number_of(words[4]), NULL, &sink, &size,
			       err);

	(void)printf("%s %llu%s", pd_code_name(rc), (unsigned long long)size,
		     comparison.differs ? " DIFFERENT" : "");
	return rc;
}

static int do_put(struct pd_object_store *store, char **words, struct pd_error *err)
{
	struct object_content content = OBJECT_CONTENT((unsigned)number_of(words[2]), number_of(words[3]));
	const struct pd_object_source source = object_source(&content);
	struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct pd_object_receipt receipt = { 0 };
	int rc;

	options.retain_until_us = number_of(words[4]);
	rc = pd_object_put(store, words[1], &source, &options, &receipt, err);
	(void)printf("%s %llu", pd_code_name(rc), (unsigned long long)receipt.size);
	return rc;
}

static void do_line(struct pd_object_store *store, char **words)
{
	struct pd_error err = { 0 };
	uint64_t number = 0;
	int rc = 0;

	if (strcmp(words[0], "put") == 0) {
		rc = do_put(store, words, &err);
	} else if (strcmp(words[0], "get") == 0) {
		rc = do_get(store, words, &err);
	} else if (strcmp(words[0], "list") == 0) {
		rc = do_list(store, words, &err);
	} else {
		if (strcmp(words[0], "head") == 0)
			rc = pd_object_head(store, words[1], &number, &err);
		else if (strcmp(words[0], "delete") == 0)
			rc = pd_object_delete(store, words[1], &err);
		else if (strcmp(words[0], "sweep") == 0)
			rc = pd_object_sweep(store, number_of(words[1]), &number, &err);
		else
			rc = pd_error_set(&err, PD_INVALID, "no such command");
		(void)printf("%s %llu", pd_code_name(rc), (unsigned long long)number);
	}
	(void)printf(" |%s\n", rc != 0 ? err.text : "");
	(void)fflush(stdout);
}

int main(void)
{
	struct pd_object_store *store;
	struct pd_error err = { 0 };
	struct pd_os *os;
	char line[2000];

	if (pd_os_real_new(&os, &err) != 0)
		return 2;
	store = open_store(os, &err);
	(void)printf("%s |%s\n", pd_code_name(store != NULL ? 0 : err.code), store != NULL ? "" : err.text);
	(void)fflush(stdout);
	while (store != NULL && fgets(line, sizeof line, stdin) != NULL) {
		char *words[6] = { 0 }, *rest = line;

		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 5 && rest != NULL; i++)
			words[i] = strsep(&rest, " ");
		do_line(store, words);
	}
	pd_object_store_free(store);
	pd_os_free(os);
	return store != NULL ? 0 : 1;
}
