// GitHub's own client, asked for an identity token: it, or why there is none, as JSON in the last
// line. Before it come the workflow commands that hide the token in the job's log.
const [, , modules, audience] = process.argv;
const core = require(`${modules}/@actions/core`);

core
  .getIDToken(audience)
  .then((token) => ({ token }))
  .catch((error) => ({ refused: error.message }))
  .then((answer) => console.log(`\n${JSON.stringify(answer)}`));
