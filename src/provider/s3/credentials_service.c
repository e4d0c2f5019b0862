/* Credentials that a service gives, for some hours: STS for the token of a web identity, a container's agent, the metadata of the
 * machine.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "provider/s3/credentials.h"
#include "provider/s3/files.h"
#include "provider/s3/json_fields.h"
#include "provider/s3/uploads.h"
#include "provider/s3/xml.h"

enum {
	REPLY_MAX = 64 * 1024,
	TOKEN_MAX = 32 * 1024,
	SERVICE_PATIENCE_S = 10,
	MACHINE_PATIENCE_S = 2, /* where there is no such service nobody answers at all */
	ATTEMPTS = 3,
};

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* One request, some times; the caller frees the reply in any case. */
static int ask(struct pd_s3_identity *identity, const struct pd_http_request *request,
	       struct pd_http_reply *reply, struct pd_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		if (i > 0)
			pd_http_reply_done(reply);
		pd_http_reply_init(reply, REPLY_MAX);
		rc = pd_http_perform(identity->http, request, reply, err);
		if (rc == 0 && reply->status >= 500)
			rc = pd_error_set(err, PD_AGAIN, "'%.200s' answered %d", request->url, reply->status);
		if (rc != PD_AGAIN)
			return rc;
	}
	return rc;
}

static int refused(const char *url, const struct pd_http_reply *reply, struct pd_error *err)
{
	return pd_error_set(err, PD_PERMISSION, "'%.200s' gives no credentials: it answered %d %.*s", url,
			    reply->status, (int)(reply->body.size < 150 ? reply->body.size : 150),
			    reply->body.data != NULL ? (const char *)reply->body.data : "");
}

/* ---- web identity ---- */

struct sts_reading {
	struct pd_buffer access_key, secret_key, token;
	uint64_t expires_us;
};

static int take_text(struct pd_buffer *to, const char *text)
{
	pd_buffer_clear(to);
	return pd_buffer_append(to, text, strlen(text) + 1);
}

static int sts_text(void *context, const char *path, const char *text)
{
	static const char root[] =
		"AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/";
	struct sts_reading *reading = context;

	if (strncmp(path, root, sizeof root - 1) != 0)
		return 0;
	path += sizeof root - 1;
	if (strcmp(path, "AccessKeyId") == 0)
		return take_text(&reading->access_key, text);
	if (strcmp(path, "SecretAccessKey") == 0)
		return take_text(&reading->secret_key, text);
	if (strcmp(path, "SessionToken") == 0)
		return take_text(&reading->token, text);
	if (strcmp(path, "Expiration") == 0)
		reading->expires_us = pd_s3_time(text);
	return 0;
}

static void wipe(struct pd_buffer *buffer)
{
	if (buffer->data != NULL)
		pd_crypto_wipe(buffer->data, buffer->capacity);
	pd_buffer_done(buffer);
}

/* What three texts and a time make. All of them are needed: what never expires is given by nobody. */
static int take_credentials(const char *url, const struct sts_reading *reading, struct pd_s3_credentials *ret,
			    struct pd_error *err)
{
	int rc;

	if (reading->access_key.size < 2 || reading->secret_key.size < 2 || reading->token.size < 2 ||
	    reading->expires_us == 0)
		return pd_error_set(
			err, PD_PERMISSION,
			"'%.200s' gives no credentials: its answer lacks a key, a token or a time", url);
	rc = pd_s3_credentials_set(ret, (const char *)reading->access_key.data,
				   (const char *)reading->secret_key.data, (const char *)reading->token.data,
				   err);
	if (rc == 0)
		ret->expires_us = reading->expires_us;
	return rc;
}

static void reading_init(struct sts_reading *reading)
{
	*reading = (struct sts_reading){ 0 };
	pd_buffer_init(&reading->access_key, 1024);
	pd_buffer_init(&reading->secret_key, 1024);
	pd_buffer_init(&reading->token, TOKEN_MAX);
}

static void reading_done(struct sts_reading *reading)
{
	wipe(&reading->access_key);
	wipe(&reading->secret_key);
	wipe(&reading->token);
}

static int sts_form(struct pd_s3_identity *identity, const char *token_file, const char *role,
		    struct pd_buffer *form, struct pd_error *err)
{
	const char *session = setting("AWS_ROLE_SESSION_NAME");
	struct pd_buffer token;
	int rc;

	pd_buffer_init(&token, TOKEN_MAX);
	rc = pd_s3_read_file(identity->os, token_file, &token, err);
	if (rc == PD_NOT_FOUND)
		rc = pd_error_set(err, PD_PERMISSION,
				  "AWS_WEB_IDENTITY_TOKEN_FILE names '%s', which is not there; correct it",
				  token_file);
	if (rc != 0) {
		wipe(&token);
		return rc;
	}
	((char *)token.data)[strcspn((char *)token.data, " \t\r\n")] = '\0';
	rc = pd_buffer_printf(form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	if (rc == 0)
		rc = pd_s3_encode(form, role, false);
	if (rc == 0)
		rc = pd_buffer_printf(form, "&RoleSessionName=");
	if (rc == 0)
		rc = pd_s3_encode(form, session != NULL ? session : "perdure", false);
	if (rc == 0)
		rc = pd_buffer_printf(form, "&WebIdentityToken=");
	if (rc == 0)
		rc = pd_s3_encode(form, (const char *)token.data, false);
	wipe(&token);
	return rc == 0 ? 0 : pd_error_set(err, rc, "cannot ask for credentials: %s", pd_code_text(rc));
}

static int sts_ask(struct pd_s3_identity *identity, const char *url, struct pd_slice form,
		   struct pd_s3_credentials *ret, struct pd_error *err)
{
	const struct pd_s3_header type = { "content-type", "application/x-www-form-urlencoded" };
	const struct pd_http_request request = { .method = "POST",
						 .url = url,
						 .headers = &type,
						 .header_count = 1,
						 .body = form,
						 .patience_s = SERVICE_PATIENCE_S };
	struct sts_reading reading;
	const struct pd_s3_xml_reader reader = { sts_text, NULL, &reading };
	struct pd_http_reply reply;
	int rc;

	reading_init(&reading);
	rc = ask(identity, &request, &reply, err);
	if (rc == 0 && reply.status != 200)
		rc = refused(url, &reply, err);
	if (rc == 0) {
		rc = pd_s3_xml_read(pd_buffer_slice(&reply.body), &reader);
		rc = rc != 0 ? pd_error_set(err, rc, "cannot read what '%.200s' answered: %s", url,
					    pd_code_text(rc))
			     : take_credentials(url, &reading, ret, err);
	}
	reading_done(&reading);
	wipe(&reply.body);
	return rc;
}

int pd_s3_credentials_of_web_identity(struct pd_s3_identity *identity, struct pd_s3_credentials *ret,
				      struct pd_error *err)
{
	const char *token_file = setting("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = setting("AWS_ROLE_ARN");
	const char *endpoint = setting("AWS_ENDPOINT_URL_STS");
	struct pd_buffer form;
	char *url;
	int rc;

	if (token_file == NULL)
		return PD_NOT_FOUND;
	if (role == NULL)
		return pd_error_set(
			err, PD_PERMISSION,
			"AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not; set both or none");
	url = endpoint != NULL ? pd_strdup(endpoint)
			       : pd_asprintf("https://sts.%s.amazonaws.com%s/", identity->region,
					     strncmp(identity->region, "cn-", 3) == 0 ? ".cn" : "");
	if (url == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a URL");
	pd_buffer_init(&form, 4 * TOKEN_MAX);
	rc = sts_form(identity, token_file, role, &form, err);
	if (rc == 0)
		rc = sts_ask(identity, url, pd_buffer_slice(&form), ret, err);
	wipe(&form);
	pd_free(url);
	return rc;
}

/* ---- container and machine: JSON ---- */

static int json_text(struct pd_slice document, const char *name, struct pd_buffer *to)
{
	int rc = pd_s3_json_field(document, name, to);

	return rc == PD_NOT_FOUND ? 0 : rc; /* what is missing is seen at the end */
}

static int json_credentials(const char *url, struct pd_slice document, struct pd_s3_credentials *ret,
			    struct pd_error *err)
{
	struct sts_reading reading;
	struct pd_buffer expiration;
	int rc;

	reading_init(&reading);
	pd_buffer_init(&expiration, 256);
	rc = json_text(document, "AccessKeyId", &reading.access_key);
	if (rc == 0)
		rc = json_text(document, "SecretAccessKey", &reading.secret_key);
	if (rc == 0)
		rc = json_text(document, "Token", &reading.token);
	if (rc == 0)
		rc = json_text(document, "Expiration", &expiration);
	if (rc == 0 && expiration.size > 0)
		reading.expires_us = pd_s3_time((const char *)expiration.data);
	rc = rc != 0 ? pd_error_set(err, rc, "cannot read what '%.200s' answered: %s", url, pd_code_text(rc))
		     : take_credentials(url, &reading, ret, err);
	pd_buffer_done(&expiration);
	reading_done(&reading);
	return rc;
}

/* Without TLS only to where nobody listens in between: this machine, and the addresses of containers' agents. */
static bool is_near(const char *url)
{
	static const char *const hosts[] = { "127.0.0.1",     "localhost",      "[::1]",
					     "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };

	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		size_t size = strlen(hosts[i]);

		if (strncmp(url + 7, hosts[i], size) == 0 && strchr(":/", url[7 + size]) != NULL)
			return true;
	}
	return false;
}

/* What the agent wants to be told, if anything. */
static int container_word(struct pd_s3_identity *identity, struct pd_buffer *word, struct pd_error *err)
{
	const char *file = setting("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *text = setting("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	int rc;

	if (file == NULL && text == NULL)
		return 0;
	if (file != NULL)
		rc = pd_s3_read_file(identity->os, file, word, err);
	else
		rc = take_text(word, text);
	if (rc != 0)
		return pd_error_set(err, rc == PD_NO_MEMORY ? rc : PD_PERMISSION,
				    "cannot read the token for the container's credentials; see "
				    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	((char *)word->data)[strcspn((char *)word->data, "\r\n")] = '\0';
	return 0;
}

static int container_ask(struct pd_s3_identity *identity, const char *url, struct pd_s3_credentials *ret,
			 struct pd_error *err)
{
	struct pd_http_request request = { .method = "GET", .url = url, .patience_s = SERVICE_PATIENCE_S };
	struct pd_s3_header authorization = { "authorization", NULL };
	struct pd_http_reply reply;
	struct pd_buffer word;
	int rc;

	pd_buffer_init(&word, TOKEN_MAX);
	rc = container_word(identity, &word, err);
	if (rc == 0 && word.size > 0) {
		authorization.value = (const char *)word.data;
		request.headers = &authorization;
		request.header_count = 1;
	}
	if (rc == 0) {
		rc = ask(identity, &request, &reply, err);
		if (rc == 0 && reply.status != 200)
			rc = refused(url, &reply, err);
		if (rc == 0)
			rc = json_credentials(url, pd_buffer_slice(&reply.body), ret, err);
		wipe(&reply.body);
	}
	wipe(&word);
	return rc;
}

int pd_s3_credentials_of_container(struct pd_s3_identity *identity, struct pd_s3_credentials *ret,
				   struct pd_error *err)
{
	const char *relative = setting("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = setting("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char *url;
	int rc;

	if (relative == NULL && full == NULL)
		return PD_NOT_FOUND;
	url = relative != NULL ? pd_asprintf("http://169.254.170.2%s", relative) : pd_strdup(full);
	if (url == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a URL");
	if (!is_near(url))
		rc = pd_error_set(
			err, PD_PERMISSION,
			"'%.200s' is not asked for credentials: it is neither https nor on this machine; "
			"correct AWS_CONTAINER_CREDENTIALS_FULL_URI",
			url);
	else
		rc = container_ask(identity, url, ret, err);
	pd_free(url);
	return rc;
}

/* ---- the machine's metadata, version 2: a token first, then questions ---- */

static int machine_get(struct pd_s3_identity *identity, const char *method, const char *url,
		       const struct pd_s3_header *header, struct pd_http_reply *reply, struct pd_error *err)
{
	const struct pd_http_request request = { .method = method,
						 .url = url,
						 .headers = header,
						 .header_count = 1,
						 .patience_s = MACHINE_PATIENCE_S };

	return ask(identity, &request, reply, err);
}

/* The body as text, in `text` of `size` bytes: its first line. */
static bool first_line(const struct pd_http_reply *reply, char *text, size_t size)
{
	size_t length = 0;

	while (length < reply->body.size && reply->body.data[length] > ' ' && reply->body.data[length] < 127)
		length++;
	if (length == 0 || length >= size)
		return false;
	memcpy(text, reply->body.data, length);
	text[length] = '\0';
	return true;
}

static int machine_role(struct pd_s3_identity *identity, const char *folder, const struct pd_s3_header *token,
			struct pd_s3_credentials *ret, struct pd_error *err)
{
	struct pd_http_reply reply;
	char role[512];
	char *url;
	bool has_role;
	int rc = machine_get(identity, "GET", folder, token, &reply, err);

	has_role = rc == 0 && reply.status == 200 && first_line(&reply, role, sizeof role);
	pd_http_reply_done(&reply);
	if (rc != 0)
		return rc;
	if (!has_role)
		return PD_NOT_FOUND; /* the machine has no role */
	url = pd_asprintf("%s%s", folder, role);
	if (url == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a URL");
	rc = machine_get(identity, "GET", url, token, &reply, err);
	if (rc == 0 && reply.status != 200)
		rc = refused(url, &reply, err);
	if (rc == 0)
		rc = json_credentials(url, pd_buffer_slice(&reply.body), ret, err);
	wipe(&reply.body);
	pd_free(url);
	return rc;
}

int pd_s3_credentials_of_machine(struct pd_s3_identity *identity, struct pd_s3_credentials *ret,
				 struct pd_error *err)
{
	const struct pd_s3_header wish = { "x-aws-ec2-metadata-token-ttl-seconds", "21600" };
	const char *disabled = setting("AWS_EC2_METADATA_DISABLED");
	const char *endpoint = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	struct pd_s3_header token = { "x-aws-ec2-metadata-token", NULL };
	struct pd_http_reply reply;
	char word[512];
	char *url, *folder;
	int rc;

	if (disabled != NULL && strcmp(disabled, "true") == 0)
		return PD_NOT_FOUND;
	if (endpoint == NULL)
		endpoint = "http://169.254.169.254";
	url = pd_asprintf("%s/latest/api/token", endpoint);
	folder = pd_asprintf("%s/latest/meta-data/iam/security-credentials/", endpoint);
	if (url == NULL || folder == NULL) {
		pd_free(url);
		pd_free(folder);
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a URL");
	}
	rc = machine_get(identity, "PUT", url, &wish, &reply, NULL);
	/* Nobody answers: this is no such machine. */
	if (rc == PD_AGAIN || (rc == 0 && (reply.status != 200 || !first_line(&reply, word, sizeof word))))
		rc = PD_NOT_FOUND;
	pd_http_reply_done(&reply);
	if (rc == 0) {
		token.value = word;
		rc = machine_role(identity, folder, &token, ret, err);
	}
	pd_free(url);
	pd_free(folder);
	return rc;
}
