/* Commands that a client may know from Redis and that are not here: so that the error says so, not only that a name
 * is unknown. Source of the names: COMMAND DOCS of redis-server 7.0, and the modules of Redis Stack. */
#include <strings.h>

#include "front/resp/front_private.h"

static const struct {
	const char *why;
	const char *names; /* "ft." stands for whatever begins like that */
} unbuilt[] = {
	{ "lists are not built yet", "blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop "
				     "lpop lpos lpush lpushx lrange lrem lset "
				     "ltrim rpop rpoplpush rpush rpushx" },
	{ "sets are not built yet", "sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember "
				    "smembers smismember smove spop "
				    "srandmember srem sscan sunion sunionstore" },
	{ "sorted sets are not built yet",
	  "bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore "
	  "zlexcount "
	  "zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem "
	  "zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore "
	  "zrevrank zscan "
	  "zscore zunion zunionstore geoadd geodist geohash geopos georadius georadius_ro georadiusbymember "
	  "georadiusbymember_ro geosearch geosearchstore" },
	{ "streams are not built yet", "xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange "
				       "xread xreadgroup xrevrange xsetid xtrim" },
	{ "scripts are not built yet; MULTI and WATCH are",
	  "eval eval_ro evalsha evalsha_ro fcall fcall_ro function script" },
	{ "HyperLogLogs are not built yet", "pfadd pfcount pfdebug pfmerge pfselftest" },
	{ "it is not built yet", "migrate sort sort_ro" },
	{ "replication is not built yet", "failover psync replconf replicaof slaveof sync" },
	{ "there is nothing to save: the log has every write already", "bgrewriteaof bgsave lastsave save" },
	{ "there is one database; PD.USE chooses an actor in it", "move swapdb" },
	{ "documents are not built yet", "json." },
	{ "search is not built yet", "ft." },
	{ "time series are not built yet", "ts." },
	{ "graphs are not built yet", "graph." },
	{ "vectors are not built yet", "vector. vadd vcard vdim vemb vrem vsim" },
	{ "SQL is not built yet", "sql." },
	{ "PD.HELP tells which there are", "pd." },
};

static bool is_among(struct pd_slice word, const char *names)
{
	while (*names != '\0') {
		size_t size = strcspn(names, " ");
		bool begins = word.size >= size && strncasecmp((const char *)word.data, names, size) == 0;

		if (begins && (word.size == size || names[size - 1] == '.'))
			return true;
		names += size;
		names += strspn(names, " ");
	}
	return false;
}

const char *pd_resp_why_unknown(struct pd_slice word)
{
	for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++)
		if (is_among(word, unbuilt[i].names))
			return unbuilt[i].why;
	return NULL;
}
