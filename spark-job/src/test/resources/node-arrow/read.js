// Prints every row of the Arrow IPC files named, as a line of JSON.
const fs = require('fs');
const { CompressionType, compressionRegistry, tableFromIPC } = require('apache-arrow');
const fzstd = require('fzstd');
const lz4 = require('lz4js');

// Arrow's Java library writes an empty buffer without a frame.
const codec = (decompress) => ({
  decode: (bytes) => (bytes.length === 0 ? bytes : decompress(bytes)),
});
compressionRegistry.set(CompressionType.ZSTD, codec((bytes) => fzstd.decompress(bytes)));
compressionRegistry.set(CompressionType.LZ4_FRAME, codec((bytes) => lz4.decompress(bytes)));

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
