/* What the service says when it does not do what it was asked, and what that is to us. The table follows
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; other services use the same names. */
#include <stdio.h>
#include <string.h>

#include "provider/s3/s3_private.h"
#include "provider/s3/xml.h"

/* The error in a reply's body; a HEAD has none. */
struct answer {
	char code[64];
	char message[200];
	char region[64];
	bool is_error; /* the document is one */
};

struct row {
	const char *code;
	int status; /* 0: any */
	int rc;
	bool again;
	const char *advice; /* behind what the service said */
};

static const struct row rows[] = {
	{ "NoSuchBucket", 0, PD_NOT_FOUND, false, "create the bucket, or correct its name" },
	{ "NoSuchKey", 0, PD_NOT_FOUND, false, NULL },
	{ "NoSuchUpload", 0, PD_NOT_FOUND, false, NULL },
	{ "PreconditionFailed", 0, PD_EXISTS, false, NULL },
	{ "ConditionalRequestConflict", 0, PD_AGAIN, true, NULL },
	{ "OperationAborted", 0, PD_AGAIN, true, NULL },
	{ "RequestTimeout", 0, PD_AGAIN, true, NULL },
	{ "SlowDown", 0, PD_AGAIN, true, NULL },
	{ "InternalError", 0, PD_AGAIN, true, NULL },
	{ "ServiceUnavailable", 0, PD_AGAIN, true, NULL },
	/* The bytes were changed on the way. */
	{ "BadDigest", 0, PD_AGAIN, true, NULL },
	{ "XAmzContentSHA256Mismatch", 0, PD_AGAIN, true, NULL },
	{ "IncompleteBody", 0, PD_AGAIN, true, NULL },
	{ "NotImplemented", 0, PD_NOT_SUPPORTED, false, "the service lacks what this needs" },
	{ "EntityTooLarge", 0, PD_TOO_LARGE, false, NULL },
	{ "EntityTooSmall", 0, PD_INVALID, false, "use larger parts" },
	{ "InvalidObjectState", 0, PD_PERMISSION, false, "restore it from its archive first" },
	{ "InvalidAccessKeyId", 0, PD_PERMISSION, false, "correct the access key" },
	{ "SignatureDoesNotMatch", 0, PD_PERMISSION, false, "correct the secret key" },
	{ "ExpiredToken", 0, PD_PERMISSION, false, "renew the session token" },
	{ "InvalidPart", 0, PD_CONFLICT, false, "somebody else puts the same object; put it again" },
	{ "QuotaExceeded", 0, PD_QUOTA, false, NULL },
	{ "XMinioStorageFull", 0, PD_NO_SPACE, false, NULL },
	{ NULL, 401, PD_PERMISSION, false, "correct the credentials" },
	{ NULL, 403, PD_PERMISSION, false, "ask for the permission, or see what retains the object" },
	{ NULL, 404, PD_NOT_FOUND, false, NULL },
	{ NULL, 408, PD_AGAIN, true, NULL },
	{ NULL, 409, PD_AGAIN, true, NULL },
	{ NULL, 412, PD_EXISTS, false, NULL },
	{ NULL, 413, PD_TOO_LARGE, false, NULL },
	{ NULL, 429, PD_AGAIN, true, NULL },
	{ NULL, 501, PD_NOT_SUPPORTED, false, "the service lacks what this needs" },
	{ NULL, 507, PD_NO_SPACE, false, NULL },
};

static void copy(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text);
	/* It goes into messages, and so to terminals. */
	for (; *to != '\0'; to++)
		if ((unsigned char)*to < ' ' || *to == 127)
			*to = ' ';
}

static int on_text(void *context, const char *path, const char *text)
{
	struct answer *answer = context;

	if (strcmp(path, "Error/Code") == 0)
		copy(answer->code, sizeof answer->code, text);
	else if (strcmp(path, "Error/Message") == 0)
		copy(answer->message, sizeof answer->message, text);
	else if (strcmp(path, "Error/Region") == 0)
		copy(answer->region, sizeof answer->region, text);
	return 0;
}

static int on_end(void *context, const char *path)
{
	struct answer *answer = context;

	if (strcmp(path, "Error") == 0)
		answer->is_error = true;
	return 0;
}

static void read_answer(struct pd_slice body, struct answer *ret_answer)
{
	const struct pd_s3_xml_reader reader = { on_text, on_end, ret_answer };

	*ret_answer = (struct answer){ 0 };
	/* A proxy's page of HTML, or nothing: then the status has to do. */
	if (body.size > 0 && pd_s3_xml_read(body, &reader) != 0)
		*ret_answer = (struct answer){ 0 };
}

bool pd_s3_is_error(struct pd_slice body)
{
	struct answer answer;

	read_answer(body, &answer);
	return answer.is_error;
}

static const struct row *row_of(const struct answer *answer, int status)
{
	static const struct row broken = { NULL, 0, PD_AGAIN, true, NULL };
	static const struct row unknown = { NULL, 0, PD_INVALID, false, NULL };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];

		if (row->code != NULL ? strcmp(row->code, answer->code) == 0 : row->status == status)
			return row;
	}
	/* 200 is an error in the body of a reply that began as if all were well. */
	return status >= 500 || status == 200 ? &broken : &unknown;
}

/* What can be put right here, and then tried again. */
static bool is_mended(struct pd_s3_store *store, struct pd_s3_request *request, const struct answer *answer,
		      const struct pd_http_reply *reply)
{
	int64_t ahead_us;
	/* A HEAD is refused without a word. */
	bool has_expired = strcmp(answer->code, "ExpiredToken") == 0 ||
			   strcmp(answer->code, "ExpiredTokenException") == 0 ||
			   strcmp(answer->code, "TokenRefreshRequired") == 0 ||
			   (reply->status == 400 && strcmp(request->method, "HEAD") == 0);

	if (has_expired && !request->has_new_credentials) {
		request->has_new_credentials = true;
		return pd_s3_identity_expire(&store->identity);
	}
	if (strcmp(answer->code, "RequestTimeTooSkewed") == 0 && reply->date_us > 0) {
		ahead_us = (int64_t)(reply->date_us - pd_os_real_us(store->os));
		/* The same again would be refused again. */
		if (ahead_us / 60000000 == store->clock_ahead_us / 60000000)
			return false;
		store->clock_ahead_us = ahead_us;
		return true;
	}
	return false;
}

int pd_s3_answer(struct pd_s3_store *store, struct pd_s3_request *request, const struct pd_http_reply *reply,
		 bool *ret_again, struct pd_error *err)
{
	struct answer answer;
	const struct row *row;
	const char *region;

	read_answer(pd_buffer_slice(&reply->body), &answer);
	row = row_of(&answer, reply->status);
	*ret_again = row->again;
	if (is_mended(store, request, &answer, reply)) {
		*ret_again = true;
		return pd_error_set(err, PD_AGAIN, "'%s' says %s", store->base.address, answer.code);
	}
	region = reply->region[0] != '\0' ? reply->region : answer.region;
	if (reply->status / 100 == 3 || strcmp(answer.code, "AuthorizationHeaderMalformed") == 0)
		return pd_error_set(err, PD_INVALID,
				    "'%s' is not in the region %s%s%s; correct the region or the endpoint",
				    store->base.address, store->region, region[0] != '\0' ? " but in " : "",
				    region);
	return pd_error_set(err, row->rc, "'%s' does not %s%s%s: %d %s%s%s%s%s", store->base.address,
			    request->method, request->key != NULL ? " " : "",
			    request->key != NULL ? request->key : "", reply->status, answer.code,
			    answer.message[0] != '\0' ? ", " : "", answer.message,
			    row->advice != NULL ? "; " : "", row->advice != NULL ? row->advice : "");
}
