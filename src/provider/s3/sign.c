#include "provider/s3/sign.h"

#include <string.h>

#include "base/assert.h"

void pd_s3_hex(const uint8_t *bytes, size_t size, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * size] = '\0';
}

static bool is_plain(char byte, bool is_path)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '-' || byte == '_' || byte == '.' || byte == '~' || (is_path && byte == '/');
}

int pd_s3_encode(struct pd_buffer *buffer, const char *text, bool is_path)
{
	int rc = 0;

	for (; *text != '\0' && rc == 0; text++) {
		if (is_plain(*text, is_path))
			rc = pd_buffer_append(buffer, text, 1);
		else
			rc = pd_buffer_printf(buffer, "%%%02X", (unsigned)(uint8_t)*text);
	}
	return rc;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool pd_s3_unhex(const char *text, uint8_t *bytes, size_t size)
{
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

void pd_s3_decode(char *text)
{
	char *to = text;

	while (*text != '\0') {
		int high = text[0] == '%' ? hex_digit(text[1]) : -1;
		int low = high >= 0 ? hex_digit(text[2]) : -1;

		if (low >= 0 && high * 16 + low != 0) {
			*to++ = (char)(high * 16 + low);
			text += 3;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* ---- signing ---- */

static int names_append(struct pd_buffer *buffer, const struct pd_s3_signing *signing)
{
	int rc = 0;

	for (size_t i = 0; i < signing->header_count && rc == 0; i++)
		rc = pd_buffer_printf(buffer, "%s%s", i > 0 ? ";" : "", signing->headers[i].name);
	return rc;
}

/* "Task 1" of the description: the request in a form that does not depend on how it was sent. */
static int canonical_request(struct pd_buffer *buffer, const struct pd_s3_signing *signing)
{
	int rc = pd_buffer_printf(buffer, "%s\n%s\n%s\n", signing->method, signing->path, signing->query);

	for (size_t i = 0; i < signing->header_count && rc == 0; i++) {
		PD_ASSERT(i == 0 || strcmp(signing->headers[i - 1].name, signing->headers[i].name) < 0);
		rc = pd_buffer_printf(buffer, "%s:%s\n", signing->headers[i].name, signing->headers[i].value);
	}
	if (rc == 0)
		rc = pd_buffer_append(buffer, "\n", 1);
	if (rc == 0)
		rc = names_append(buffer, signing);
	return rc == 0 ? pd_buffer_printf(buffer, "\n%s", signing->payload_sha256) : rc;
}

/* The key of the day, region and service. */
static int signing_key(const struct pd_s3_signing *signing, uint8_t key[PD_SHA256_SIZE])
{
	struct pd_buffer secret;
	int rc;

	pd_buffer_init(&secret, 1024);
	rc = pd_buffer_printf(&secret, "AWS4%s", signing->secret_key);
	if (rc == 0)
		rc = pd_crypto_hmac_sha256(pd_buffer_slice(&secret), pd_slice(signing->time, 8), key);
	if (secret.data != NULL)
		pd_crypto_wipe(secret.data, secret.capacity);
	pd_buffer_done(&secret);
	if (rc == 0)
		rc = pd_crypto_hmac_sha256(pd_slice(key, PD_SHA256_SIZE), pd_slice_string(signing->region),
					   key);
	if (rc == 0)
		rc = pd_crypto_hmac_sha256(pd_slice(key, PD_SHA256_SIZE), pd_slice_string(signing->service),
					   key);
	if (rc == 0)
		rc = pd_crypto_hmac_sha256(pd_slice(key, PD_SHA256_SIZE), pd_slice_string("aws4_request"),
					   key);
	return rc;
}

int pd_s3_sign(const struct pd_s3_signing *signing, struct pd_buffer *authorization)
{
	uint8_t digest[PD_SHA256_SIZE], key[PD_SHA256_SIZE];
	char request_hash[PD_SHA256_HEX_SIZE], signature[PD_SHA256_HEX_SIZE];
	struct pd_buffer text;
	int rc;

	PD_ASSERT(strlen(signing->time) == strlen("20130524T000000Z"));
	pd_buffer_init(&text, 64 * 1024);
	rc = canonical_request(&text, signing);
	if (rc == 0)
		rc = pd_crypto_sha256(pd_buffer_slice(&text), digest);
	if (rc == 0) {
		pd_s3_hex(digest, sizeof digest, request_hash);
		pd_buffer_clear(&text);
		rc = pd_buffer_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s",
				      signing->time, signing->time, signing->region, signing->service,
				      request_hash);
	}
	if (rc == 0)
		rc = signing_key(signing, key);
	if (rc == 0)
		rc = pd_crypto_hmac_sha256(pd_slice(key, sizeof key), pd_buffer_slice(&text), digest);
	pd_crypto_wipe(key, sizeof key);
	pd_buffer_done(&text);
	if (rc != 0)
		return rc;
	pd_s3_hex(digest, sizeof digest, signature);
	rc = pd_buffer_printf(authorization,
			      "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=",
			      signing->access_key, signing->time, signing->region, signing->service);
	if (rc == 0)
		rc = names_append(authorization, signing);
	if (rc == 0)
		rc = pd_buffer_printf(authorization, ",Signature=%s", signature);
	return rc == 0 ? pd_buffer_append(authorization, "", 1) : rc;
}
