// Posts events with the stock SDK: node post.js URL MODE < events.json
// MODE is binary, structured or batch. Prints one JSON line for each answer.
const { CloudEvent, Mode, emitterFor, httpTransport } = require("cloudevents");

const [url, mode] = process.argv.slice(2);

async function main() {
  const text = require("fs").readFileSync(0, "utf-8");
  const events = JSON.parse(text).map(({ bytes, ...fields }) => {
    const data = bytes === undefined ? fields.data : new Uint8Array(Buffer.from(bytes));
    return new CloudEvent({ ...fields, data });
  });
  const send = httpTransport(url);
  if (mode === "batch") {
    // The SDK reads batches and has no call that writes one; its events say themselves how.
    const headers = { "content-type": "application/cloudevents-batch+json" };
    print(await send({ headers, body: JSON.stringify(events) }, {}));
    return;
  }
  const emit = emitterFor(send, { mode: mode === "binary" ? Mode.BINARY : Mode.STRUCTURED });
  for (const event of events) {
    print(await emit(event));
  }
}

function print(answer) {
  console.log(JSON.stringify(JSON.parse(answer.body)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
