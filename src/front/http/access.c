#include "front/http/access.h"

#include <stdio.h>
#include <string.h>

#include "crypto/base64.h"
#include "security/login.h"
#include "security/user.h"

#define SCHEME "basic "
/* A name, a colon, a password; and what they are in Base64. */
#define CREDENTIALS_MAX (PD_USER_NAME_MAX + 1 + PD_USER_PASSWORD_MAX)

struct credentials {
	struct pd_slice name, password; /* in `bytes` */
	uint8_t bytes[CREDENTIALS_MAX];
	uint8_t digest[PD_SHA256_SIZE];
};

static enum pd_http_verdict refuse(struct pd_http_page *page, unsigned status, unsigned retry_after_s,
				   const char *detail)
{
	page->status = status;
	page->content_type = NULL;
	page->retry_after_s = retry_after_s;
	page->asks_for_user = status == 401;
	(void)snprintf(page->detail, sizeof page->detail, "%.290s", detail);
	return PD_HTTP_REFUSED;
}

static bool is_of_this_machine(const char *peer)
{
	return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]:", 6) == 0 ||
	       strncmp(peer, "[::ffff:127.", 12) == 0;
}

/* ---- what the request says ---- */

/* false: there are none, or they make no sense. */
static bool read_credentials(const struct pd_http_request *request, struct credentials *credentials)
{
	struct pd_slice field = pd_http_field(request, "authorization");
	size_t scheme = sizeof SCHEME - 1, size;
	const uint8_t *colon;

	if (field.size <= scheme || !pd_slice_equal_nocase(pd_slice(field.data, scheme), SCHEME))
		return false;
	field = pd_slice(field.data + scheme, field.size - scheme);
	if (pd_crypto_base64_decode(field, credentials->bytes, sizeof credentials->bytes, &size) != 0)
		return false;
	colon = memchr(credentials->bytes, ':', size);
	if (colon == NULL)
		return false;
	credentials->name = pd_slice(credentials->bytes, (size_t)(colon - credentials->bytes));
	credentials->password = pd_slice(colon + 1, size - credentials->name.size - 1);
	return pd_crypto_sha256(pd_slice(credentials->bytes, size), credentials->digest) == 0;
}

/* ---- passwords ---- */

/* A user who may log in with a password; NULL: none of that name. */
static const struct pd_user *find_user(const struct pd_http_guard *guard, struct pd_slice name)
{
	const struct pd_user *user = pd_users_find(guard->users, name);

	return user != NULL && user->enabled && user->has_password ? user : NULL;
}

static bool is_known(const struct pd_http_caller *caller, const struct pd_user *user,
		     const struct credentials *credentials)
{
	return caller->known && user != NULL &&
	       pd_crypto_equal(caller->digest, credentials->digest, sizeof caller->digest) &&
	       pd_crypto_equal(caller->hash, user->verifier.hash, sizeof caller->hash);
}

static enum pd_http_verdict begin_login(const struct pd_http_guard *guard, struct pd_http_caller *caller,
					const char *peer, const struct pd_user *user,
					struct pd_slice password, struct pd_http_page *page)
{
	struct pd_error err;

	if (pd_logins_verify(guard->logins, peer, user != NULL ? &user->verifier : NULL, password,
			     &caller->login, &err) != 0)
		return refuse(page, 503, 5, err.text);
	return PD_HTTP_LATER;
}

static enum pd_http_verdict end_login(struct pd_http_caller *caller, const struct pd_user *user,
				      const struct credentials *credentials, struct pd_http_page *page)
{
	enum pd_login_state state = pd_login_state(caller->login);
	/* It may be gone since, or off, or have another password. */
	bool right = state == PD_LOGIN_ACCEPTED && user != NULL &&
		     pd_login_was_for(caller->login, &user->verifier);

	pd_login_free(caller->login);
	caller->login = NULL;
	if (state == PD_LOGIN_CROWDED_OUT)
		return refuse(page, 503, 5, PD_LOGIN_BUSY_TEXT);
	if (state == PD_LOGIN_FAILED)
		return refuse(page, 503, 5, "there is no memory or no thread for a login now");
	if (!right)
		return refuse(page, 401, 0, "this user is not there, is disabled, or has another password");
	caller->known = true;
	memcpy(caller->digest, credentials->digest, sizeof caller->digest);
	memcpy(caller->hash, user->verifier.hash, sizeof caller->hash);
	return PD_HTTP_ALLOWED;
}

static enum pd_http_verdict ask_password(const struct pd_http_guard *guard, struct pd_http_caller *caller,
					 const char *peer, const struct pd_http_request *request,
					 struct pd_http_page *page)
{
	struct credentials credentials;
	const struct pd_user *user;
	enum pd_http_verdict verdict;

	if (!read_credentials(request, &credentials)) {
		pd_crypto_wipe(&credentials, sizeof credentials);
		return refuse(page, 401, 0,
			      "this page is for users: say who you are (HTTP's Basic authentication); "
			      "/livez and /readyz ask nobody");
	}
	user = find_user(guard, credentials.name);
	if (caller->login != NULL)
		verdict = pd_login_state(caller->login) == PD_LOGIN_PENDING
				  ? PD_HTTP_LATER
				  : end_login(caller, user, &credentials, page);
	else if (is_known(caller, user, &credentials))
		verdict = PD_HTTP_ALLOWED;
	else
		verdict = begin_login(guard, caller, peer, user, credentials.password, page);
	pd_crypto_wipe(&credentials, sizeof credentials);
	return verdict;
}

/* ---- the verdict ---- */

static bool has_certificate_of_user(const struct pd_http_guard *guard, const struct pd_connection *connection)
{
	const struct pd_user *user;

	if (!guard->certificate_users || connection->certificate == NULL)
		return false;
	user = pd_users_find(guard->users, pd_slice_string(connection->certificate));
	return user != NULL && user->enabled;
}

enum pd_http_verdict pd_http_access_judge(const struct pd_http_guard *guard, struct pd_http_caller *caller,
					  const struct pd_connection *connection,
					  const struct pd_http_request *request, struct pd_http_page *page)
{
	bool here = is_of_this_machine(connection->peer);

	if (guard->users == NULL || guard->asks == PD_HTTP_ASKS_NOBODY ||
	    (here && guard->asks == PD_HTTP_ASKS_OTHERS))
		return PD_HTTP_ALLOWED;
	if (guard->loading)
		return here ? PD_HTTP_ALLOWED
			    : refuse(page, 503, 1,
				     "the log is being replayed, and who the users are is not known yet");
	if (guard->users->count == 0)
		return here || guard->allow_open
			       ? PD_HTTP_ALLOWED
			       : refuse(page, 403, 0,
					"there is no user, and without one this page is for clients of this "
					"machine alone: make one with 'perdure user add', or say "
					"--http-login never");
	if (has_certificate_of_user(guard, connection))
		return PD_HTTP_ALLOWED;
	return ask_password(guard, caller, connection->peer, request, page);
}

bool pd_http_access_is_decided(const struct pd_http_caller *caller)
{
	return caller->login == NULL || pd_login_state(caller->login) != PD_LOGIN_PENDING;
}

void pd_http_access_forget(struct pd_http_caller *caller)
{
	pd_login_free(caller->login);
	pd_crypto_wipe(caller, sizeof *caller);
}
