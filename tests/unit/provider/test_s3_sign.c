/* Signature Version 4, by the examples of AWS's own description:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "provider/s3/sign.h"

#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define HOST                                             \
	{                                                \
		"host", "examplebucket.s3.amazonaws.com" \
	}
#define DATE                                     \
	{                                        \
		"x-amz-date", "20130524T000000Z" \
	}

static void expect(const char *method, const char *path, const char *query,
		   const struct pd_s3_header *headers, size_t count, const char *payload, const char *names,
		   const char *signature)
{
	const struct pd_s3_signing signing = {
		.access_key = "AKIAIOSFODNN7EXAMPLE",
		.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1",
		.service = "s3",
		.time = "20130524T000000Z",
		.method = method,
		.path = path,
		.query = query,
		.headers = headers,
		.header_count = count,
		.payload_sha256 = payload,
	};
	struct pd_buffer got;
	char wanted[500];

	(void)snprintf(wanted, sizeof wanted,
		       "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
		       "SignedHeaders=%s,Signature=%s",
		       names, signature);
	pd_buffer_init(&got, 1024);
	assert_int_equal(pd_s3_sign(&signing, &got), 0);
	assert_string_equal((const char *)got.data, wanted);
	pd_buffer_done(&got);
}

static void test_get_object(void **state)
{
	const struct pd_s3_header headers[] = {
		HOST, { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY }, DATE
	};

	(void)state;
	expect("GET", "/test.txt", "", headers, 4, EMPTY, "host;range;x-amz-content-sha256;x-amz-date",
	       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put_object(void **state)
{
	const struct pd_s3_header headers[] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
						HOST,
						{ "x-amz-content-sha256", WELCOME },
						DATE,
						{ "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
	struct pd_buffer path;

	(void)state;
	pd_buffer_init(&path, 100);
	assert_int_equal(pd_s3_encode(&path, "/test$file.text", true), 0);
	assert_int_equal(pd_buffer_append(&path, "", 1), 0);
	expect("PUT", (const char *)path.data, "", headers, 5, WELCOME,
	       "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	pd_buffer_done(&path);
}

static void test_queries(void **state)
{
	const struct pd_s3_header headers[] = { HOST, { "x-amz-content-sha256", EMPTY }, DATE };

	(void)state;
	expect("GET", "/", "lifecycle=", headers, 3, EMPTY, "host;x-amz-content-sha256;x-amz-date",
	       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	expect("GET", "/", "max-keys=2&prefix=J", headers, 3, EMPTY, "host;x-amz-content-sha256;x-amz-date",
	       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_encoding(void **state)
{
	static const char *const unchanged[] = { "", "%", "%4", "%zz", "%4g", "%00", "a%" };
	struct pd_buffer text;
	char decoded[100];

	(void)state;
	pd_buffer_init(&text, 100);
	assert_int_equal(pd_s3_encode(&text, "aZ09-_.~/=+,@! %\xc3\xa4", true), 0);
	assert_int_equal(pd_s3_encode(&text, "/", false), 0);
	assert_int_equal(pd_buffer_append(&text, "", 1), 0);
	assert_string_equal((const char *)text.data, "aZ09-_.~/%3D%2B%2C%40%21%20%25%C3%A4%2F");
	pd_s3_decode((char *)text.data);
	assert_string_equal((const char *)text.data, "aZ09-_.~/=+,@! %\xc3\xa4/");
	pd_buffer_done(&text);
	for (size_t i = 0; i < sizeof unchanged / sizeof unchanged[0]; i++) {
		(void)snprintf(decoded, sizeof decoded, "%s", unchanged[i]);
		pd_s3_decode(decoded);
		assert_string_equal(decoded, unchanged[i]);
	}
}

static void test_hexadecimal(void **state)
{
	const uint8_t bytes[] = { 0, 1, 0xab, 0xff };
	uint8_t back[4];
	char text[9];

	(void)state;
	pd_s3_hex(bytes, sizeof bytes, text);
	assert_string_equal(text, "0001abff");
	assert_true(pd_s3_unhex("0001aBFf", back, sizeof back));
	assert_memory_equal(back, bytes, sizeof bytes);
	assert_false(pd_s3_unhex("0001abf", back, sizeof back));
	assert_false(pd_s3_unhex("0001abff0", back, sizeof back));
	assert_false(pd_s3_unhex("0001abfg", back, sizeof back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_object),  cmocka_unit_test(test_put_object),
		cmocka_unit_test(test_queries),     cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_hexadecimal),
	};

	return cmocka_run_group_tests_name("s3_sign", tests, NULL, NULL);
}
