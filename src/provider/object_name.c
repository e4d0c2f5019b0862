#include "provider/object_name.h"

#include <string.h>

#include "provider/object_store.h"

/* Letters and digits of ASCII, and what neither file systems nor URLs nor shells make anything of. */
static bool is_name_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       (byte != '\0' && strchr("-_=+,@!.", byte) != NULL);
}

/* What is wrong with it, or NULL. `open`: it may end in the middle of a name. */
static const char *fault_of(const char *name, bool open)
{
	size_t parts = 0;

	if (strlen(name) > PD_OBJECT_NAME_MAX)
		return "it is longer than 512 bytes";
	while (true) {
		size_t size = strcspn(name, "/");

		if (size == 0 && !(open && name[0] == '\0'))
			return "a part of it is empty";
		if (size > PD_OBJECT_PART_MAX)
			return "a part of it is longer than 200 bytes";
		if (name[0] == '.')
			return "a part of it begins with a dot";
		for (size_t i = 0; i < size; i++)
			if (!is_name_byte(name[i]))
				return "only letters, digits and - _ = + , @ ! . / may be in it";
		if (++parts > PD_OBJECT_PARTS_MAX)
			return "it has more than 16 parts";
		if (name[size] == '\0')
			return NULL;
		name += size + 1;
	}
}

int pd_object_name_check(const char *name, struct pd_error *err)
{
	const char *fault = fault_of(name, false);

	return fault == NULL
		       ? 0
		       : pd_error_set(err, PD_INVALID, "'%.200s' is no name for an object: %s", name, fault);
}

int pd_object_prefix_check(const char *prefix, struct pd_error *err)
{
	const char *fault = fault_of(prefix, true);

	return fault == NULL ? 0
			     : pd_error_set(err, PD_INVALID, "no object's name can begin with '%.200s': %s",
					    prefix, fault);
}

bool pd_object_name_valid(const char *name)
{
	return fault_of(name, false) == NULL;
}
