/** The two ways for programs, to read and to copy. */

/** @param {'ko'|'en'} language */
export function code(language) {
  const says = {
    en: { sync: 'each waits for the one before', async: 'all at once, and wait for all of them' },
    ko: { sync: '하나를 받고 나서 다음 것을', async: '모두 주문해 놓고, 다 될 때까지' },
  }[language];
  return {
    'code-sync': `// ${says.sync}
for (const item of items) {
  await yard.call("cafe", "order", { item });
}`,
    'code-async': `// ${says.async}
await Promise.all(
  items.map((item) => yard.call("cafe", "order", { item })),
);`,
  };
}

/** For bash and zsh, with curl 7.84 or later. @param {string} origin @param {'ko'|'en'} language */
export function curl(origin, language) {
  const says = {
    en: { buzzers: 'take three buzzers', rings: 'and wait for all of them' },
    ko: { buzzers: '진동벨 세 개를 받고', rings: '모두 함께 기다리기' },
  }[language];
  return {
    'curl-sync': `cafe=${origin}
time (
  for item in coffee bread smoothie; do
    curl -s "$cafe/api/services/cafe/order?name=curl" \\
      --json '{"item":"'$item'"}' -w '\\n'
  done
)`,
    'curl-async': `cafe=${origin}
time (
  # ${says.buzzers}
  for item in coffee bread smoothie; do
    curl -s "$cafe/api/services/cafe/order?name=curl" \\
      --json '{"item":"'$item'"}' -H 'Prefer: respond-async' \\
      -o /dev/null -w '%header{location}\\n'
  done | {
    # ${says.rings}
    while read -r ticket; do
      curl -s "$cafe$ticket" -H 'Prefer: wait=30' -w '\\n' &
    done
    wait
  }
)`,
  };
}
