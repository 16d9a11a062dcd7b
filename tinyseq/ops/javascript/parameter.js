{ forward: null, vjp: [] }
