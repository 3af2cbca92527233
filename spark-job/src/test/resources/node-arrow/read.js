// Prints every row of the Arrow IPC files named, as a line of JSON.
const fs = require('fs');
const { tableFromIPC } = require('apache-arrow');

const plain = (key, value) => {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
};

for (const file of process.argv.slice(2)) {
  for (const row of tableFromIPC(fs.readFileSync(file))) {
    console.log(JSON.stringify(row.toJSON(), plain));
  }
}
