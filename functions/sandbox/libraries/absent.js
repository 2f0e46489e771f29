// Stands for modules of Node.js that libraries load, but do not need here: nothing sends, and nothing reads streams.
