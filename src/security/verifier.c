/* Verifiers: Argon2id for passwords that are sent, SCRAM-SHA-256 for those that are not. And the record they are kept in. */
#include <string.h>

#include "base/codec.h"
#include "security/user.h"

#define RECORD_VERSION 1

enum { FLAG_ENABLED = 1, FLAG_PASSWORD = 2, FLAG_ALL_TENANTS = 4 };

/* ---- verifiers ---- */

/* RFC 5802, section 3: SaltedPassword, then StoredKey = H(HMAC(it, "Client Key")), ServerKey = HMAC(it, "Server Key"). */
static int make_scram(struct pd_verifier *verifier, struct pd_slice password)
{
	uint8_t salted[PD_SHA256_SIZE], client_key[PD_SHA256_SIZE];
	int result = pd_crypto_pbkdf2_sha256(password, pd_slice(verifier->scram_salt, PD_SCRAM_SALT_SIZE),
					     verifier->scram_iterations, salted);

	if (result == 0)
		result = pd_crypto_hmac_sha256(pd_slice(salted, sizeof salted), pd_slice_string("Client Key"),
					       client_key);
	if (result == 0)
		result = pd_crypto_sha256(pd_slice(client_key, sizeof client_key), verifier->stored_key);
	if (result == 0)
		result = pd_crypto_hmac_sha256(pd_slice(salted, sizeof salted), pd_slice_string("Server Key"),
					       verifier->server_key);
	pd_crypto_wipe(salted, sizeof salted);
	pd_crypto_wipe(client_key, sizeof client_key);
	return result;
}

int pd_verifier_make(struct pd_verifier *verifier, struct pd_slice password)
{
	int result;

	verifier->cost = PD_PASSWORD_COST_DEFAULT;
	verifier->scram_iterations = PD_SCRAM_ITERATIONS;
	result = pd_password_hash(password, verifier->salt, &verifier->cost, verifier->hash);
	return result == 0 ? make_scram(verifier, password) : result;
}

int pd_verifier_check(const struct pd_verifier *verifier, struct pd_slice password)
{
	uint8_t hash[PD_PASSWORD_HASH_SIZE];
	int result = pd_password_hash(password, verifier->salt, &verifier->cost, hash);
	bool equal = result == 0 && pd_crypto_equal(hash, verifier->hash, sizeof hash);

	pd_crypto_wipe(hash, sizeof hash);
	return result == 0 ? equal : result;
}

/* ---- records ---- */

static int put_u32(struct pd_buffer *record, uint32_t number)
{
	uint8_t bytes[4];

	pd_store_u32(bytes, number);
	return pd_buffer_append(record, bytes, sizeof bytes);
}

static int put_verifier(struct pd_buffer *record, const struct pd_verifier *verifier)
{
	int result = put_u32(record, verifier->cost.memory_kib);

	if (result == 0)
		result = put_u32(record, verifier->cost.passes);
	if (result == 0)
		result = put_u32(record, verifier->cost.lanes);
	if (result == 0)
		result = pd_buffer_append(record, verifier->salt, sizeof verifier->salt);
	if (result == 0)
		result = pd_buffer_append(record, verifier->hash, sizeof verifier->hash);
	if (result == 0)
		result = put_u32(record, verifier->scram_iterations);
	if (result == 0)
		result = pd_buffer_append(record, verifier->scram_salt, sizeof verifier->scram_salt);
	if (result == 0)
		result = pd_buffer_append(record, verifier->stored_key, sizeof verifier->stored_key);
	if (result == 0)
		result = pd_buffer_append(record, verifier->server_key, sizeof verifier->server_key);
	return result;
}

int pd_user_encode(const struct pd_user *user, struct pd_buffer *record)
{
	size_t tenant_size = strlen(user->tenant);
	uint8_t head[5] = { RECORD_VERSION, 0, (uint8_t)user->role };
	int result;

	head[1] = (uint8_t)((user->enabled ? FLAG_ENABLED : 0) | (user->has_password ? FLAG_PASSWORD : 0) |
			    (user->role == PD_ROLE_ADMIN ? FLAG_ALL_TENANTS : 0));
	pd_store_u16(head + 3, (uint16_t)tenant_size);
	result = pd_buffer_append(record, head, sizeof head);
	if (result == 0)
		result = pd_buffer_append(record, user->tenant, tenant_size);
	if (result == 0 && user->has_password)
		result = put_verifier(record, &user->verifier);
	return result;
}

static bool take(struct pd_slice *rest, void *to, size_t size)
{
	if (rest->size < size)
		return false;
	memcpy(to, rest->data, size);
	*rest = pd_slice(rest->data + size, rest->size - size);
	return true;
}

static bool take_u32(struct pd_slice *rest, uint32_t *ret_number)
{
	uint8_t bytes[4];

	if (!take(rest, bytes, sizeof bytes))
		return false;
	*ret_number = pd_load_u32(bytes);
	return true;
}

static bool take_verifier(struct pd_slice *rest, struct pd_verifier *verifier)
{
	return take_u32(rest, &verifier->cost.memory_kib) && take_u32(rest, &verifier->cost.passes) &&
	       take_u32(rest, &verifier->cost.lanes) && take(rest, verifier->salt, sizeof verifier->salt) &&
	       take(rest, verifier->hash, sizeof verifier->hash) &&
	       take_u32(rest, &verifier->scram_iterations) &&
	       take(rest, verifier->scram_salt, sizeof verifier->scram_salt) &&
	       take(rest, verifier->stored_key, sizeof verifier->stored_key) &&
	       take(rest, verifier->server_key, sizeof verifier->server_key) &&
	       pd_password_cost_is_sane(&verifier->cost) && verifier->scram_iterations > 0 &&
	       verifier->scram_iterations <= PD_SCRAM_ITERATIONS_MAX;
}

int pd_user_decode(struct pd_slice name, struct pd_slice record, struct pd_user *ret_user,
		   struct pd_error *err)
{
	struct pd_user user = { 0 };
	struct pd_slice rest = record;
	uint8_t head[5];
	size_t tenant_size;
	bool good = name.size > 0 && name.size <= PD_USER_NAME_MAX && take(&rest, head, sizeof head);

	if (good && head[0] > RECORD_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "the record of user '%.*s' was written by a newer version of Perdure",
				    (int)name.size, (const char *)name.data);
	tenant_size = good ? pd_load_u16(head + 3) : 0;
	good = good && head[0] == RECORD_VERSION && head[2] >= PD_ROLE_READ_ONLY &&
	       head[2] <= PD_ROLE_ADMIN && tenant_size > 0 && tenant_size <= PD_NAME_SIZE_MAX &&
	       take(&rest, user.tenant, tenant_size) && memchr(user.tenant, '\0', tenant_size) == NULL &&
	       memchr(name.data, '\0', name.size) == NULL;
	if (good && (head[1] & FLAG_PASSWORD) != 0)
		good = take_verifier(&rest, &user.verifier);
	if (!good || rest.size > 0)
		return pd_error_set(err, PD_CORRUPT,
				    "the record of user '%.*s' makes no sense: the state is damaged",
				    name.size < PD_USER_NAME_MAX ? (int)name.size : (int)PD_USER_NAME_MAX,
				    (const char *)name.data);
	memcpy(user.name, name.data, name.size);
	user.enabled = (head[1] & FLAG_ENABLED) != 0;
	user.has_password = (head[1] & FLAG_PASSWORD) != 0;
	user.role = (enum pd_role)head[2];
	*ret_user = user;
	return 0;
}
